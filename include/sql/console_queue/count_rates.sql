-- What runs sent and could not send since an instant, by gateway and stretch of time. Parameters: routine
-- (whose runs send), since, seconds (of a stretch).
select
    g.code as gateway,
    floor(extract(epoch from a.ended_at - %(since)s::timestamptz) / %(seconds)s)::bigint as stretch,
    count(*) filter (where a.outcome = 'accepted') as sent,
    count(*) filter (where a.outcome <> 'accepted') as other
from crm.run as r
inner join crm.message_attempt as a on r.id = a.run_id
inner join crm.message as m on a.message_id = m.id
inner join crm.gateway as g on m.gateway_id = g.id
where
    r.routine = %(routine)s
    and r.started_at > %(since)s::timestamptz - interval '1 day'
    and (r.status = 'running' or r.ended_at >= %(since)s::timestamptz)
    and a.ended_at >= %(since)s::timestamptz
group by gateway, stretch
order by gateway, stretch
