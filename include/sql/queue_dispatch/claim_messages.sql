-- Claim the next messages of a gateway in the order of sending, within its rate and quota, and write their
-- attempts down. Looks behind the given place only, past what was claimed before. Parameters: gateway_id,
-- limited (the gateway has a rate or a quota), after_priority, after_position, after_id, most, token,
-- lease_seconds, run_id.
with usage as (
    select
        u.gateway_id,
        u.used_on,
        u.used,
        u.available_on,
        u.available,
        g.daily_quota,
        statement_timestamp() as at,
        (statement_timestamp() at time zone g.timezone)::date as today,
        case
            when g.rate is null then 'infinity'
            else
                least(
                    coalesce(g.burst, greatest(g.rate, 1)),
                    u.tokens
                    -- A clock that was set back takes nothing away.
                    + g.rate * greatest(0, extract(epoch from statement_timestamp() - u.filled_at))::float
                )
        end as tokens
    from crm.gateway_usage as u
    inner join crm.gateway as g on u.gateway_id = g.id
    where u.gateway_id = %(gateway_id)s and %(limited)s
    for update of u
),

allowance as (
    select
        least(
            %(most)s::bigint,
            floor(least(usage.tokens, 1000000))::bigint,
            usage.daily_quota - case when usage.used_on = usage.today then usage.used else 0 end,
            case when usage.available_on = usage.today then usage.available end
        ) as most
    from usage
),

picked as (
    select id
    from crm.message
    where
        gateway_id = %(gateway_id)s
        and status = 'waiting'
        and ready
        and (priority, position, id) > (%(after_priority)s, %(after_position)s, %(after_id)s)
        and (expires_at is null or expires_at > clock_timestamp())
    order by priority, position, id
    limit greatest(0, coalesce((select most from allowance), %(most)s::bigint))
    for update skip locked
),

claimed as (
    update crm.message as m
    set
        status = 'sending',
        tries = m.tries + 1,
        lease_token = %(token)s::bigint,
        gateway_message_id = null, -- of an earlier attempt
        lease_until = clock_timestamp() + make_interval(secs => %(lease_seconds)s)
    where m.id = any(array(select id from picked))
    returning
        m.id,
        m.tries as number,
        m.priority,
        m.position,
        m.recipient,
        m.payload,
        m.dedupe_key,
        m.receivable_id,
        m.due_on,
        m.expires_at
),

attempted as (
    insert into crm.message_attempt (message_id, number, run_id, token)
    select
        id,
        number,
        %(run_id)s::bigint,
        %(token)s::bigint
    from claimed
),

spent as (
    update crm.gateway_usage as u
    set
        tokens = case when usage.tokens = 'infinity' then 0 else usage.tokens - claims.number end,
        filled_at = usage.at,
        used_on = usage.today,
        used = case when usage.used_on = usage.today then usage.used else 0 end + claims.number,
        available = usage.available - claims.number
    from usage, (select count(*) as number from claimed) as claims
    where u.gateway_id = usage.gateway_id
)

select *
from claimed
order by priority, position, id
