-- How the queue of every gateway stands that has something to look at: what is due and does not go, calls
-- whose lease is over, messages whose outcome only a person can settle, and messages whose attempts do not
-- tell what the messages do. Reads by the partial indexes what has not come to rest. Parameters: since (what
-- is younger is left alone), routine (whose runs send), at.
with ready as (
    select
        gateway_id,
        count(*) as messages,
        min(greatest(created_at, send_after)) as oldest_at
    from crm.message
    where status = 'waiting' and ready and greatest(created_at, send_after) <= %(since)s
    group by gateway_id
),

later as (
    select
        g.id as gateway_id,
        due.messages,
        due.oldest_at
    from crm.gateway as g
    cross join lateral (
        select
            count(*) as messages,
            min(m.send_after) as oldest_at
        from crm.message as m
        where
            m.gateway_id = g.id
            and m.status in ('waiting', 'held')
            and not m.ready
            and m.send_after <= %(since)s
    ) as due
),

lost as (
    select
        gateway_id,
        count(*) as messages,
        min(lease_until) as oldest_at
    from crm.message
    where status = 'sending' and lease_until <= %(since)s
    group by gateway_id
),

unknown as (
    select
        m.gateway_id,
        count(*) as messages,
        min(coalesce(a.ended_at, a.started_at, m.created_at)) as oldest_at
    from crm.message as m
    left join crm.message_attempt as a on m.id = a.message_id and m.tries = a.number
    where m.status = 'unknown' and coalesce(a.ended_at, a.started_at, m.created_at) <= %(since)s
    group by m.gateway_id
),

broken as (
    select
        gateway_id,
        count(*) as messages
    from (
        select m.gateway_id
        from crm.message as m
        left join crm.message_attempt as a on m.id = a.message_id and m.tries = a.number
        where m.status = 'sending' and (a.message_id is null or a.ended_at is not null)
        union all
        select m.gateway_id
        from crm.message as m
        left join crm.message_attempt as a on m.id = a.message_id and m.tries = a.number
        where m.status = 'unknown' and (a.message_id is null or a.ended_at is null)
    ) as contradicted
    group by gateway_id
),

standing as (
    select
        g.id,
        coalesce(ready.messages, 0) + coalesce(later.messages, 0) as due,
        least(ready.oldest_at, later.oldest_at) as due_since
    from crm.gateway as g
    left join ready on g.id = ready.gateway_id
    left join later on g.id = later.gateway_id
)

select
    g.code,
    g.name,
    g.active,
    g.paused_at,
    g.paused_by,
    g.pause_reason,
    s.due,
    s.due_since,
    case when g.failures > 0 or g.slowed_until > %(at)s then g.slow_reason end as slow_reason,
    coalesce(lost.messages, 0) as lost,
    lost.oldest_at as lost_since,
    coalesce(unknown.messages, 0) as unknown,
    unknown.oldest_at as unknown_since,
    coalesce(broken.messages, 0) as broken,
    -- What keeps messages that are due from being a problem; not looked for where there are none: some were
    -- sent, the quota of the day is used up, or somebody has just put them back or resumed the gateway.
    case when s.due > 0 then exists (
        select
        from crm.run as r
        inner join crm.message_attempt as a on r.id = a.run_id
        inner join crm.message as m on a.message_id = m.id
        where
            r.routine = %(routine)s
            and (r.status = 'running' or r.ended_at > %(since)s)
            and r.started_at > %(since)s - interval '2 days'
            and a.outcome = 'accepted'
            and a.ended_at > %(since)s
            and m.gateway_id = g.id
    ) or exists (
        select from crm.gateway_usage as u
        where
            u.gateway_id = g.id
            and (
                (u.used_on = (%(at)s at time zone g.timezone)::date and u.used >= g.daily_quota)
                or (u.available_on = (%(at)s at time zone g.timezone)::date and u.available <= 0)
            )
    ) or exists (
        select from crm.audit_entry as e
        where
            e.at > %(since)s
            and (
                e.action in ('retry', 'release')
                or (e.action = 'resume' and e.target ->> 'gateway' = g.code)
            )
    ) else false end as moves
from crm.gateway as g
inner join standing as s on g.id = s.id
left join lost on g.id = lost.gateway_id
left join unknown on g.id = unknown.gateway_id
left join broken on g.id = broken.gateway_id
order by g.code
