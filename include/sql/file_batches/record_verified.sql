-- Write down that a batch was read again at the partner and is what was made. Parameter: batch_id.
with batch as (
    update crm.file_batch
    set
        verified_at = clock_timestamp(),
        error = null
    where id = %(batch_id)s
    returning id, verified_at
)

update crm.file_batch_file as f
set verified_at = batch.verified_at
from batch
where f.batch_id = batch.id
