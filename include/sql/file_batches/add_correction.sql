-- Expect a correction of a batch: the next revision of its day, due in an hour; returns its key.
-- Parameter: batch_id.
insert into crm.file_batch (business_date, revision, due_at)
select
    business_date,
    revision + 1,
    greatest(due_at, clock_timestamp() + interval '1 hour')
from crm.file_batch
where id = %(batch_id)s
returning id
