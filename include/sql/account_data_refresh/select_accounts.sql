-- The accounts that this run looks at, with their data as they stand: those of changed customers and those
-- that are due or had a problem; of an audience only its own, and all of these when everything is computed
-- anew. Parameters: everything, audience_id.
create temp table selection on commit drop as
with due as (
    select account_id from crm.account_data_due
    union
    select record_id from crm.account_data_problem where record_kind = 'account'
    union
    select account_id from audience_member where %(everything)s and audience_id = %(audience_id)s
),

account as materialized (
    select
        id,
        erp_customer_id
    from crm.account
    where erp_customer_id = any(array(select customer_id from changed_customer))
    union
    select
        id,
        erp_customer_id
    from crm.account
    where id = any(array(select account_id from due))
),

-- By sorted keys: half the work of a look into the index for each account.
stored as materialized (
    select * from crm.account_supplementary
    where account_id = any(array(select id from account))
)

select
    a.id as account_id,
    a.erp_customer_id as customer_id,
    d.account_id is not null or c.purchases_anew as purchases_anew,
    d.account_id is not null or c.quotes_anew as quotes_anew,
    old.as_of_on,
    old.last_purchase_date,
    old.first_purchase_date,
    old.last_purchase_value,
    old.first_purchase_value,
    coalesce(old.accumulated_value, 0) as accumulated_value,
    old.last_quote_date,
    coalesce(old.purchase_count, 0) as purchase_count,
    old.last_invoice_code
from account as a
left join stored as old on a.id = old.account_id
left join changed_customer as c on a.erp_customer_id = c.customer_id
left join due as d on a.id = d.account_id
where
    %(audience_id)s::bigint is null
    or a.id in (select account_id from audience_member where audience_id = %(audience_id)s)
