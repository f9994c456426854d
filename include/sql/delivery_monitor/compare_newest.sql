-- The equation of the queue over its newest messages: each key that was written has one message, in the queue
-- or in the archive, of some status; and each message its key. Parameter: after_id (older ones are left
-- alone).
with message as (
    select id from crm.message
    where id > %(after_id)s
    union all
    select id from crm.message_archive
    where id > %(after_id)s
),

written as (
    select message_id from crm.message_key
    where message_id > %(after_id)s
)

select
    count(w.message_id) as written,
    count(m.id) as messages,
    count(*) filter (where m.id is null) as lost,
    count(*) filter (where w.message_id is null) as strange
from written as w
full join message as m on w.message_id = m.id
