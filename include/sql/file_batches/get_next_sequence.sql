-- The number that the next batch gets. No parameters.
select coalesce(max(sequence), 0) + 1
from crm.file_batch
