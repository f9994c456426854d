-- The billing messages of one step as one would write them by hand: the same rows, each once, nothing else.
-- Parameters: step_id, run_id, business_date.
with reminder as materialized (
    select
        nextval('crm.message_id_seq') as message_id,
        'billing:' || r.receivable_id || ':' || s.id || ':' || to_char(r.due_on, 'YYYY-MM-DD') as dedupe_key,
        r.receivable_id || ':' || s.id as origin_key,
        t.gateway_id,
        t.id as template_id,
        a.id as account_id,
        r.customer_id,
        r.receivable_id,
        c.phone,
        c.name,
        s.priority,
        (%(business_date)s::date + 1)::timestamp at time zone 'America/Sao_Paulo' as expires_at,
        jsonb_build_object('template', t.gateway_template_id, 'variables', jsonb_build_array(
            initcap(split_part(c.name, ' ', 1)),
            translate(to_char(r.value, 'FM999,999,999,990.00'), ',.', '.,'),
            to_char(r.due_on, 'DD/MM/YYYY')
        )) as payload
    from crm.dunning_step as s
    inner join crm.message_template as t on s.template_id = t.id
    inner join erp.receivable as r on r.due_on = %(business_date)s
    inner join erp.customer as c on r.customer_id = c.customer_id
    left join crm.account as a on c.customer_id = a.erp_customer_id
    where
        s.id = %(step_id)s
        and r.paid_at is null
        and r.cancelled_at is null
        and r.value > 0
        and c.phone is not null
        and not exists (select from crm.dunning_exception as e where e.customer_id = r.customer_id)
        and not exists (select from crm.suppression as p where p.channel = 'phone' and p.address = c.phone)
),

taken as (
    insert into crm.message_key (dedupe_key, message_id)
    select
        dedupe_key,
        message_id
    from reminder
    on conflict (dedupe_key) do nothing
    returning message_id
)

insert into crm.message (
    id,
    gateway_id,
    template_id,
    dedupe_key,
    origin,
    origin_key,
    account_id,
    customer_id,
    receivable_id,
    recipient,
    recipient_name,
    payload,
    priority,
    expires_at,
    run_id
)
select
    r.message_id,
    r.gateway_id,
    r.template_id,
    r.dedupe_key,
    'billing_messages',
    r.origin_key,
    r.account_id,
    r.customer_id,
    r.receivable_id,
    r.phone,
    r.name,
    r.payload,
    r.priority,
    r.expires_at,
    %(run_id)s
from reminder as r
inner join taken as t on r.message_id = t.message_id
