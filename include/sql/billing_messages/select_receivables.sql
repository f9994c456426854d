-- A message for every open receivable that a step of the dunning schedule reminds of on the business date,
-- with the variables in the order of the step's template. Of several steps that fall on one day for a
-- receivable, moved from days that are no business days, the latest counts; one of before the due date that
-- was moved to after it comes too late.
-- Parameters: step_ids, first_due_ons and last_due_ons (of each step), business_date, timezone.
insert into outgoing (
    record_kind,
    record_id,
    record_name,
    dedupe_key,
    origin_key,
    template_id,
    variables,
    recipient,
    recipient_name,
    account_id,
    customer_id,
    receivable_id,
    due_on,
    priority,
    expires_at,
    outcome,
    reason,
    detail
)
with due as (
    select
        unnest(%(step_ids)s::bigint[]) as step_id,
        unnest(%(first_due_ons)s::date[]) as first_on,
        unnest(%(last_due_ons)s::date[]) as last_on
),

step as (
    select
        s.id,
        s.name,
        s.days,
        s.priority,
        s.template_id,
        t.variables,
        d.first_on,
        d.last_on,
        (%(business_date)s::date + 1 + s.valid_days::integer)::timestamp
        at time zone %(timezone)s as expires_at
    from due as d
    inner join crm.dunning_step as s on d.step_id = s.id
    inner join crm.message_template as t on s.template_id = t.id
),

reminder as materialized (
    select
        s.id as step_id,
        s.name as step_name,
        s.priority,
        s.template_id,
        s.variables,
        s.expires_at,
        r.receivable_id,
        r.code,
        r.due_on,
        r.value,
        r.payment_code,
        r.customer_id,
        c.kind,
        c.name,
        c.phone,
        case when c.kind = 'company' then c.name else substring(c.name, '\S+') end as first_name,
        case
            when exists (
                select from step as later
                where later.days > s.days and r.due_on between later.first_on and later.last_on
            ) then 'later_step'
            when s.days < 0 and r.due_on < %(business_date)s then 'past_due'
            when e.customer_id is not null then 'dunning_exception'
            when c.customer_id is null then 'customer_missing'
            when (r.value > 0 and r.value < 1000000000000) is not true then 'invalid_value'
        end as reason
    from step as s
    inner join erp.receivable as r on r.due_on between s.first_on and s.last_on
    left join erp.customer as c on r.customer_id = c.customer_id
    left join crm.dunning_exception as e
        on r.customer_id = e.customer_id and (e.until_on is null or e.until_on >= %(business_date)s)
    where r.paid_at is null and r.cancelled_at is null
)

select
    'receivable',
    r.receivable_id || ':' || r.step_id,
    r.code || ', ' || r.step_name,
    'billing:' || r.receivable_id || ':' || r.step_id || ':' || to_char(r.due_on, 'YYYY-MM-DD'),
    r.receivable_id || ':' || r.step_id,
    r.template_id,
    array(
        select
            case v.name
                when 'customer_name' then r.name
                when 'first_name'
                    then case
                        when
                            r.kind = 'person' and r.first_name in (upper(r.first_name), lower(r.first_name))
                            then initcap(r.first_name)
                        else r.first_name
                    end
                when 'value' then translate(to_char(r.value, 'FM999,999,999,990.00'), ',.', '.,')
                when 'due_on' then to_char(r.due_on, 'DD/MM/YYYY')
                when 'days_overdue' then greatest(%(business_date)s::date - r.due_on, 0)::text
                when 'receivable_code' then r.code
                when 'payment_code' then r.payment_code
            end
        from unnest(r.variables) as v (name)
    ),
    r.phone,
    r.name,
    a.id,
    r.customer_id,
    r.receivable_id,
    r.due_on,
    r.priority,
    r.expires_at,
    case
        when r.reason in ('later_step', 'past_due', 'dunning_exception') then 'skipped'
        when r.reason is not null then 'failed'
    end,
    r.reason,
    case when r.reason = 'customer_missing' then 'cliente ' || r.customer_id end
from reminder as r
left join crm.account as a on r.customer_id = a.erp_customer_id
