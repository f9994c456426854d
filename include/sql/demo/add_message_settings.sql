-- Gateways, templates as the gateway simulator has them, the dunning schedule, an e-mail template, and who
-- gets no messages. No parameters.
insert into crm.gateway (code, name, kind, connection_id, settings, rate)
values (
    'opa', 'Opa! Suite', 'opa_suite', 'message_gateway', '{"channel_id": "65f0c0de00000000000000c1"}', 50
),
('mail', 'E-mail', 'smtp', 'smtp_default', '{}', 50);
insert into crm.gateway_usage (gateway_id, tokens)
select
    id as gateway_id,
    rate as tokens
from crm.gateway;
-- Open day and night, because the demonstration runs whenever somebody starts it. A company would rather say
-- Monday to Friday 08:00-20:00 and Saturday 09:00-14:00, and leave Sundays and holidays out.
insert into crm.send_window (gateway_id, day, opens_at, closes_at)
select
    gateway.id as gateway_id,
    week.day,
    time '00:00' as opens_at,
    time '24:00' as closes_at
from crm.gateway as gateway
cross join
    unnest(array['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday', 'holiday'])
        as week (day);
insert into crm.message_template (gateway_id, code, name, gateway_template_id, body, variables, status)
select
    gateway.id as gateway_id,
    template.code,
    template.name,
    template.gateway_template_id,
    template.body,
    template.variables,
    'approved' as status
from crm.gateway as gateway
cross join (
    values (
        'vence_em_breve', 'Vence em breve', '65f0c0de0000000000000001',
        'Olá, {{1}}! Seu boleto de R$ {{2}} vence em {{3}}.', array['first_name', 'value', 'due_on']
    ),
    (
        'vence_hoje', 'Vence hoje', '65f0c0de0000000000000002',
        'Olá, {{1}}! Seu boleto de R$ {{2}} vence hoje.', array['first_name', 'value']
    ),
    (
        'em_atraso', 'Em atraso', '65f0c0de0000000000000003',
        'Olá, {{1}}! Seu boleto de R$ {{2}} venceu em {{3}}.', array['first_name', 'value', 'due_on']
    ),
    (
        'assinatura_digital', 'Assinatura digital', '65f0c0de0000000000000004',
        'Olá, {{1}}! Assine seu contrato em {{2}}.', array['first_name', 'link']
    )
) as template (code, name, gateway_template_id, body, variables)
where gateway.code = 'opa'
order by template.gateway_template_id;
-- The first two steps go out on any day, so that a demonstration on a Sunday has something to send.
insert into crm.dunning_step (name, days, template_id, priority, next_business_day, valid_days)
select
    step.name,
    step.days,
    template.id as template_id,
    step.priority,
    step.next_business_day,
    step.valid_days
from (
    values ('3 dias antes do vencimento', -3, 'vence_em_breve', 5, false, 1),
    ('No vencimento', 0, 'vence_hoje', 3, false, 0),
    ('3 dias de atraso', 3, 'em_atraso', 4, true, 2),
    ('10 dias de atraso', 10, 'em_atraso', 4, true, 5)
) as step (name, days, template_code, priority, next_business_day, valid_days)
inner join crm.message_template as template on step.template_code = template.code
order by step.days;
insert into crm.email_template (name, subject, preheader, html, company, updated_by)
values (
    'aniversario',
    'Feliz aniversário, {{ first_name }}!',
    'Hoje o dia é seu.',
    '<h1>Feliz aniversário, {{ first_name }}!</h1>
<p>Hoje o dia é seu{% if age %}, e são {{ age }} anos{% endif %}: que seja de muita alegria.</p>
<p>Obrigado por estar com a gente. Um abraço de toda a equipe da {{ company }}!</p>
',
    'Rotina Demonstração',
    'demo'
)
on conflict (name) do nothing;
insert into crm.suppression (channel, address, reason, source, created_at)
select
    'phone' as channel,
    phone as address,
    'pediu para não receber mensagens' as reason,
    'atendimento' as source,
    updated_at as created_at
from crm.account
where id = 6
on conflict do nothing;
insert into crm.dunning_exception (customer_id, reason)
select
    erp_customer_id as customer_id,
    'em negociação' as reason
from crm.account
where id = 7
on conflict do nothing;
