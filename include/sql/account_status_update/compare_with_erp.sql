-- The accounts whose status is not what the ERP says: active with a movement (an invoice or an order that is
-- not cancelled) in the last months, first day included, up to the business date. Grouping the movements of
-- both tables together lets the processes that read them group them too; `union` or a join with each costs
-- half as much again. Parameters: business_date, months_inactive.
create temp table compared on commit drop as
with movement as (
    select customer_id from erp.invoice
    where
        issued_on >= (%(business_date)s::date - make_interval(months => %(months_inactive)s))::date
        and issued_on <= %(business_date)s
        and cancelled_at is null
    union all
    select customer_id from erp.sales_order
    where
        ordered_on >= (%(business_date)s::date - make_interval(months => %(months_inactive)s))::date
        and ordered_on <= %(business_date)s
        and status is distinct from 'cancelled'
),

moved as (
    select customer_id from movement
    group by customer_id
),

account as (
    select
        a.id as account_id,
        a.erp_customer_id as customer_id,
        a.status as from_status,
        case
            when c.customer_id is null then 'not_integrated'
            when m.customer_id is null then 'inactive'
            else 'active'
        end as to_status
    from crm.account as a
    left join erp.customer as c on a.erp_customer_id = c.customer_id
    left join moved as m on a.erp_customer_id = m.customer_id
)

-- Once each, should a view of the vendor's have a customer twice; in order, as they are stored.
select distinct on (account_id) * from account
where from_status <> to_status
order by account_id
