-- The active templates of a code, of active gateways, approved ones only. Parameter: code.
select t.id
from crm.message_template as t
inner join crm.gateway as g on t.gateway_id = g.id
where t.code = %(code)s and t.active and t.status = 'approved' and g.active
