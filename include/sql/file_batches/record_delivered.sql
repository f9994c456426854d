-- Write down that a batch stands at the partner. Parameter: batch_id.
with batch as (
    update crm.file_batch
    set
        delivered_at = clock_timestamp(),
        error = null
    where id = %(batch_id)s
    returning id, delivered_at
)

update crm.file_batch_file as f
set delivered_at = batch.delivered_at
from batch
where f.batch_id = batch.id
