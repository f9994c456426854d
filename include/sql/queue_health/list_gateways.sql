-- How the queue of every gateway stands. Reads by the partial indexes what has not come to rest, and the
-- attempts of the runs of the last hour. Parameter: routine (whose runs send).
with ready as (
    select
        gateway_id,
        count(*) as messages,
        min(created_at) as oldest_at
    from crm.message
    where status = 'waiting' and ready
    group by gateway_id
),

later as (
    select
        gateway_id,
        count(*) filter (where status = 'waiting') as messages,
        count(*) filter (where status = 'held') as held
    from crm.message
    where status in ('waiting', 'held') and not ready
    group by gateway_id
),

sending as (
    select
        m.gateway_id,
        count(*) as messages,
        min(a.started_at) as oldest_at
    from crm.message as m
    left join crm.message_attempt as a on m.id = a.message_id and m.tries = a.number
    where m.status = 'sending'
    group by m.gateway_id
),

unknown as (
    select
        gateway_id,
        count(*) as messages
    from crm.message
    where status = 'unknown'
    group by gateway_id
),

failed as (
    select
        gateway_id,
        count(*) as messages
    from crm.message
    where status = 'failed'
    group by gateway_id
),

sent as (
    select
        m.gateway_id,
        count(*) filter (where a.ended_at > now() - interval '5 minutes') as minutes_5,
        count(*) as minutes_60
    from crm.run as r
    inner join crm.message_attempt as a on r.id = a.run_id
    inner join crm.message as m on a.message_id = m.id
    where
        r.routine = %(routine)s
        and (r.status = 'running' or r.ended_at > now() - interval '1 hour')
        and r.started_at > now() - interval '2 days'
        and a.outcome = 'accepted'
        and a.ended_at > now() - interval '1 hour'
    group by m.gateway_id
)

select
    g.code,
    g.name,
    g.slowed_until,
    case
        when not g.active then 'inactive'
        when g.paused_at is not null then 'paused'
        when g.failures > 0 or g.slowed_until > now() then 'slowed'
        else 'open'
    end as state,
    case
        when not g.active then null
        when g.paused_at is not null then g.pause_reason
        when g.failures > 0 or g.slowed_until > now() then g.slow_reason
    end as reason,
    coalesce(ready.messages, 0) as waiting_now,
    coalesce(later.messages, 0) as waiting_later,
    coalesce(later.held, 0) as held,
    coalesce(sending.messages, 0) as sending,
    coalesce(unknown.messages, 0) as unknown,
    coalesce(failed.messages, 0) as failed,
    now() - ready.oldest_at as oldest_waiting,
    now() - sending.oldest_at as oldest_sending,
    coalesce(sent.minutes_5, 0) as sent_5_minutes,
    coalesce(sent.minutes_60, 0) as sent_60_minutes
from crm.gateway as g
left join ready on g.id = ready.gateway_id
left join later on g.id = later.gateway_id
left join sending on g.id = sending.gateway_id
left join unknown on g.id = unknown.gateway_id
left join failed on g.id = failed.gateway_id
left join sent on g.id = sent.gateway_id
order by g.code
