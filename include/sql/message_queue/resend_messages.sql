-- Put the selected messages of some statuses back into the line, but those whose time is over and those that
-- somebody has in hand. Nothing of their last attempt stays that a late answer could be taken for the next
-- one's. Parameters: statuses, reason, expires_at (null: as it was), reset_attempts.
with eligible as (
    select m.id
    from selected_message as s
    inner join crm.message as m on s.id = m.id
    where
        m.status = any(%(statuses)s::text[])
        and coalesce(%(expires_at)s::timestamptz, m.expires_at, 'infinity') > clock_timestamp()
    for update of m skip locked
),

changed as (
    update crm.message as m
    set
        status = 'waiting',
        ready = true,
        send_after = least(m.send_after, clock_timestamp()),
        expires_at = coalesce(%(expires_at)s::timestamptz, m.expires_at),
        attempts = case when %(reset_attempts)s then 0 else m.attempts end,
        lease_token = null,
        lease_until = null,
        reason = %(reason)s,
        error = null,
        gateway_message_id = null,
        sent_at = null,
        ended_at = null,
        delivery_status = null,
        delivered_at = null,
        read_at = null,
        delivery_error = null,
        poll_after = null
    from eligible as e
    where m.id = e.id
    returning m.id, m.gateway_id
),

done as (
    delete from selected_message as s
    using changed as c
    where s.id = c.id
),

announced as (
    update crm.gateway
    set order_version = order_version + 1
    where id in (select gateway_id from changed)
)

select count(*) as changed from changed
