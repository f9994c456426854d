-- Write down that the partner acknowledged a batch, unless it was delivered anew meanwhile. Parameters: id,
-- delivered_at.
with acknowledged as (
    update crm.file_batch
    set acknowledged_at = clock_timestamp()
    where id = %(id)s and delivered_at = %(delivered_at)s and acknowledged_at is null
    returning id, acknowledged_at
)

update crm.file_batch_file as f
set acknowledged_at = a.acknowledged_at
from acknowledged as a
where f.batch_id = a.id
