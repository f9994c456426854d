-- How many messages were wanted, and how many of them can be written, were skipped or failed. No parameters.
select
    count(*) as selected,
    count(*) filter (where outcome is null or reason = 'dry_run') as writable,
    count(*) filter (where outcome = 'skipped') as skipped,
    count(*) filter (where outcome = 'failed') as failed
from checked
