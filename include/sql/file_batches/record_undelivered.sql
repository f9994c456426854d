-- Write down why a batch is not at the partner, or not as it was made: it is delivered again.
-- Parameters: batch_id, error.
with batch as (
    update crm.file_batch
    set
        delivered_at = null,
        error = %(error)s
    where id = %(batch_id)s
    returning id
)

update crm.file_batch_file as f
set delivered_at = null
from batch
where f.batch_id = batch.id and f.delivered_at is not null
