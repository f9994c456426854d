-- A template, and the gateway that it belongs to. Parameter: template_id.
select
    template.code,
    template.body,
    template.variables,
    template.status,
    template.active,
    gateway.code as gateway,
    gateway.active as gateway_active
from crm.message_template as template
inner join crm.gateway as gateway on template.gateway_id = gateway.id
where template.id = %(template_id)s
