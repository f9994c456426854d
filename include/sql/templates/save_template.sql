-- Insert a template, or change the one of that code in its gateway; returns it.
-- Parameters: gateway_id, code, name, gateway_template_id, body, variables, status, active.
insert into crm.message_template (
    gateway_id, code, name, gateway_template_id, body, variables, status, active
)
values (
    %(gateway_id)s,
    %(code)s,
    %(name)s,
    %(gateway_template_id)s,
    %(body)s,
    %(variables)s::text[],
    %(status)s,
    %(active)s
)
on conflict (gateway_id, code) do update
    set
        name = excluded.name,
        gateway_template_id = excluded.gateway_template_id,
        body = excluded.body,
        variables = excluded.variables,
        status = excluded.status,
        active = excluded.active
returning id, gateway_id, code, name, gateway_template_id, body, variables, status, active
