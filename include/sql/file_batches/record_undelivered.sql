-- Write down that a batch does not surely stand at the partner: it is delivered again. Parameter: batch_id.
with batch as (
    update crm.file_batch
    set delivered_at = null
    where id = %(batch_id)s
    returning id
)

update crm.file_batch_file as f
set delivered_at = null
from batch
where f.batch_id = batch.id
