-- The messages to archive: the oldest of those that came to rest before an instant, as a temp table; what
-- somebody has in hand waits for another day. What was created later did not come to rest before it, which
-- the index on created_at knows. Parameters: ended_before, most.
create temp table archived on commit drop as
select
    id,
    created_at,
    gateway_id,
    gateway_message_id
from crm.message
where
    created_at < %(ended_before)s::timestamptz
    and ended_at < %(ended_before)s::timestamptz
    and status in ('sent', 'failed', 'cancelled', 'expired')
order by created_at
limit %(most)s
for update skip locked
