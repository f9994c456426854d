-- Write events to their messages: the furthest status that was told, whatever the order. A message that its
-- gateway proves to have taken is sent, unless a dispatcher is about to write that itself: then the event
-- stays to be looked at again, as do those of messages that somebody has in hand. An event is about the
-- message with the gateway's key, else about the one that the gateway named by our reference; a failure only
-- about the attempt with that key. Parameters: event_ids, since (received from then on; null: whenever),
-- most.
with event as (
    select
        id,
        gateway_id,
        gateway_message_id,
        message_id,
        status,
        error,
        occurred_at
    from crm.delivery_event
    where
        applied_at is null
        and (%(event_ids)s::bigint[] is null or id = any(%(event_ids)s::bigint[]))
        and (%(since)s::timestamptz is null or received_at >= %(since)s::timestamptz)
    order by id desc
    limit %(most)s
    for update skip locked
),

candidate as (
    select
        e.id,
        m.id as message_id,
        1 as preference
    from event as e
    inner join crm.message as m on e.gateway_id = m.gateway_id and e.gateway_message_id = m.gateway_message_id
    union all
    select
        e.id,
        m.id as message_id,
        2 as preference
    from event as e
    inner join crm.message as m on e.message_id = m.id and e.gateway_id = m.gateway_id
),

known as (
    select distinct on (e.id)
        e.id,
        c.message_id,
        e.gateway_message_id,
        e.status,
        e.error,
        e.occurred_at
    from event as e
    inner join candidate as c on e.id = c.id
    order by e.id asc, c.preference asc, c.message_id desc
),

told as (
    select
        message_id,
        array_agg(id) as event_ids,
        min(gateway_message_id) as gateway_message_id,
        min(occurred_at) as first_at,
        min(occurred_at) filter (where status = 'delivered') as delivered_at,
        min(occurred_at) filter (where status = 'read') as read_at,
        max(case status when 'sent' then 1 when 'delivered' then 3 when 'read' then 4 else 0 end) as reached,
        array_agg(gateway_message_id) filter (where status = 'failed') as failed_keys,
        min(error) filter (where status = 'failed') as failed_error
    from known
    group by message_id
),

free as (
    select
        t.*,
        m.status,
        m.delivery_status,
        m.status in ('sent', 'unknown')
        and coalesce(coalesce(m.gateway_message_id, t.failed_keys[1]) = any(t.failed_keys), false) as failed
    from told as t
    inner join crm.message as m on t.message_id = m.id
    for update of m skip locked
),

state as (
    select
        *,
        (status = 'unknown' and failed)
        or (status in ('unknown', 'waiting', 'held', 'failed') and reached > 0) as taken,
        -- Places of sent, failed, delivered, read; 0 for nothing.
        greatest(
            reached,
            2 * failed::int,
            array_position(array['sent', 'failed', 'delivered', 'read'], delivery_status)
        ) as place
    from free
),

written as (
    update crm.message as m
    set
        status = case when s.taken then 'sent' else m.status end,
        reason = case when s.taken then 'delivery_event' else m.reason end,
        error = case when not s.taken then m.error end,
        sent_at = case
            when s.taken then s.first_at
            when m.reason = 'delivery_event' then least(m.sent_at, s.first_at)
            else m.sent_at
        end,
        ended_at = case when s.taken then clock_timestamp() else m.ended_at end,
        lease_until = case when not s.taken then m.lease_until end,
        gateway_message_id = case
            when s.failed or s.reached > 0 then coalesce(m.gateway_message_id, s.gateway_message_id)
            else m.gateway_message_id
        end,
        delivery_status = (array['sent', 'failed', 'delivered', 'read'])[s.place],
        delivered_at = least(m.delivered_at, s.delivered_at),
        read_at = least(m.read_at, s.read_at),
        delivery_error = case when s.place = 2 then coalesce(s.failed_error, m.delivery_error) end,
        poll_after = case when s.read_at is null and not s.failed then m.poll_after end
    from state as s
    where m.id = s.message_id
    returning m.status, s.event_ids
),

applied as (
    update crm.delivery_event
    set applied_at = clock_timestamp()
    where id = any(array(select unnest(event_ids) from written where status <> 'sending'))
)

select
    (select coalesce(sum(cardinality(event_ids)), 0) from written) as applied,
    (select count(*) from event) - (select count(*) from known) as unmatched
