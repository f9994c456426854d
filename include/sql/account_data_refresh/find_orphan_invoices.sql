-- Invoices that belong to no customer of the ERP: none is given, or it does not exist. `known` ones were
-- reported by an earlier run. Only a run over all accounts, with no newer one before it, looks for them: what
-- it did not select, of what changed, has no account. Parameters: everything, business_date, newer_than,
-- audience_id.
create temp table orphan_invoice on commit drop as
with customer_without_account as (
    select customer_id from compared
    where finding = 'no_account'
    union all
    select c.customer_id from changed_customer as c
    where
        not %(everything)s
        and not exists (select from selection as s where s.customer_id = c.customer_id)
),

unknown_customer as (
    select k.customer_id from customer_without_account as k
    where not exists (select from erp.customer as c where c.customer_id = k.customer_id)
),

orphan as (
    select
        invoice_id,
        code,
        customer_id
    from erp.invoice
    where
        customer_id is null
        and cancelled_at is null
        and issued_on <= %(business_date)s
    union
    select
        i.invoice_id,
        i.code,
        i.customer_id
    from erp.invoice as i
    where
        i.customer_id = any(array(select customer_id from unknown_customer))
        and i.cancelled_at is null
        and i.issued_on <= %(business_date)s
    union
    select
        i.invoice_id,
        i.code,
        i.customer_id
    from erp.invoice as i
    where
        i.invoice_id
        = any(array(select record_id from crm.account_data_problem where record_kind = 'invoice'))
        and i.cancelled_at is null
        and i.issued_on <= %(business_date)s
        and not exists (select from erp.customer as c where c.customer_id = i.customer_id)
        and not exists (select from crm.account as a where a.erp_customer_id = i.customer_id)
)

select
    o.invoice_id,
    o.code,
    o.customer_id,
    known.record_id is not null as known
from orphan as o
left join crm.account_data_problem as known
    on known.record_kind = 'invoice' and o.invoice_id = known.record_id
where
    %(newer_than)s::date is null
    and %(audience_id)s::bigint is null
