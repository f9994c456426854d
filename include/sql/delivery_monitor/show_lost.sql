-- Keys without a message, and messages without a key. Parameter: after_id (older ones are left alone).
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
    w.message_id as lost,
    m.id as without_key
from written as w
full join message as m on w.message_id = m.id
where w.message_id is null or m.id is null
