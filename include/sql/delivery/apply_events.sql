-- Write events to their messages: the furthest status that was told, whatever the order. A message that its
-- gateway proves to have taken is sent, unless a dispatcher is about to write that itself: then the event
-- stays to be looked at again, as do those of messages that somebody has in hand. An event is about the
-- message with the gateway's key, else about the one that the gateway named by our reference. A failure
-- counts only for the attempt that it is about: known by its number, by the gateway's key, or because there
-- was but one; nor does the message take the key of another attempt.
-- Parameters: event_ids, since (received from then on; null: whenever), most.
with known as (
    -- What is about nobody's message is passed over before the limit, so that it holds up nothing.
    select
        e.id,
        coalesce(by_key.id, by_reference.id) as message_id,
        e.gateway_message_id,
        e.attempt,
        e.status,
        e.error,
        e.occurred_at
    from crm.delivery_event as e
    cross join
        lateral (
            select max(id) as id from crm.message
            where gateway_id = e.gateway_id and gateway_message_id = e.gateway_message_id
        ) as by_key
    cross join
        lateral (
            select max(id) as id from crm.message
            where id = e.message_id and gateway_id = e.gateway_id
        ) as by_reference
    where
        e.applied_at is null
        and coalesce(by_key.id, by_reference.id) is not null
        and (%(event_ids)s::bigint[] is null or e.id = any(%(event_ids)s::bigint[]))
        and (%(since)s::timestamptz is null or e.received_at >= %(since)s::timestamptz)
    order by e.id desc
    limit %(most)s
    for update of e skip locked
),

free as (
    select
        id,
        status,
        delivery_status,
        gateway_message_id,
        tries
    from crm.message
    where id = any(array(select message_id from known))
    for update skip locked
),

said as (
    select
        k.*,
        m.status as message_status,
        m.delivery_status,
        coalesce(k.attempt = m.tries, m.tries <= 1) as of_last_attempt,
        k.status = 'failed'
        and m.status in ('sent', 'unknown')
        and case
            when m.gateway_message_id is null or (m.status = 'unknown' and k.attempt is not null)
                then coalesce(k.attempt = m.tries, m.tries <= 1)
            else k.gateway_message_id = m.gateway_message_id
        end as failed
    from known as k
    inner join free as m on k.message_id = m.id
),

told as (
    select
        message_id,
        message_status as status,
        delivery_status,
        array_agg(id) as event_ids,
        min(gateway_message_id) filter (where of_last_attempt) as gateway_message_id,
        min(occurred_at) as first_at,
        min(occurred_at) filter (where status = 'delivered') as delivered_at,
        min(occurred_at) filter (where status = 'read') as read_at,
        max(case status when 'sent' then 1 when 'delivered' then 3 when 'read' then 4 else 0 end) as reached,
        bool_or(failed) as failed,
        min(error) filter (where failed) as failed_error
    from said
    group by message_id, message_status, delivery_status
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
    from told
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
    coalesce(cardinality(%(event_ids)s::bigint[]) - (select count(*) from known), 0) as unmatched
