-- The template of a code in a gateway. Parameters: gateway_id, code.
select
    id,
    gateway_id,
    code,
    name,
    gateway_template_id,
    body,
    variables,
    status,
    active
from crm.message_template
where gateway_id = %(gateway_id)s and code = %(code)s
