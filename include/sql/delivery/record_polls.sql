-- Say when messages that were asked about are asked about again: at growing intervals, not longer than three
-- days after they were sent, and not when they are read or failed. Parameter: message_ids.
with due as (
    select
        id,
        clock_timestamp() + case
            when sent_at > clock_timestamp() - interval '1 hour' then interval '1 hour'
            when sent_at > clock_timestamp() - interval '6 hours' then interval '6 hours'
            else interval '24 hours'
        end as next_at
    from crm.message
    where id = any(%(message_ids)s::bigint[]) and poll_after is not null
    for update skip locked
)

update crm.message as m
set poll_after = case when due.next_at < m.sent_at + interval '3 days' then due.next_at end
from due
where m.id = due.id
