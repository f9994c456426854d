-- The messages of a gateway that their last attempts contradict. Parameter: code.
select
    m.id,
    m.status,
    m.tries,
    a.started_at,
    a.ended_at,
    a.outcome
from crm.message as m
inner join crm.gateway as g on m.gateway_id = g.id
left join crm.message_attempt as a on m.id = a.message_id and m.tries = a.number
where
    g.code = %(code)s
    and (
        (m.status = 'sending' and (a.message_id is null or a.ended_at is not null))
        or (m.status = 'unknown' and (a.message_id is null or a.ended_at is null))
    )
order by m.id
