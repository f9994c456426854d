-- Keys without a message, and messages without a key. Parameter: after_id (older ones are left alone).
select
    k.message_id as lost,
    m.id as without_key
from (
    select message_id from crm.message_key
    where message_id > %(after_id)s
) as k
full join (
    select id from crm.message
    where id > %(after_id)s
    union all
    select id from crm.message_archive
    where id > %(after_id)s
) as m on k.message_id = m.id
where k.message_id is null or m.id is null
