-- The messages of a gateway without a clear answer. Parameter: code.
select
    m.id,
    m.origin,
    m.origin_key,
    m.error
from crm.message as m
inner join crm.gateway as g on m.gateway_id = g.id
where m.status = 'unknown' and g.code = %(code)s
order by m.id
