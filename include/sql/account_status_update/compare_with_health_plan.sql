-- The accounts whose status is not what the health plans say: active with an adhesion that is in force on the
-- business date. Parameter: business_date.
create temp table compared on commit drop as
with adherent as (
    select distinct customer_id from erp.health_plan_adhesion
    where
        starts_on <= %(business_date)s
        and (ends_on >= %(business_date)s or ends_on is null)
        and cancelled_at is null
),

account as (
    select
        a.id as account_id,
        a.erp_customer_id as customer_id,
        a.status as from_status,
        case
            when c.customer_id is null then 'not_integrated'
            when h.customer_id is null then 'inactive'
            else 'active'
        end as to_status
    from crm.account as a
    left join erp.customer as c on a.erp_customer_id = c.customer_id
    left join adherent as h on a.erp_customer_id = h.customer_id
)

-- Once each, should a view of the vendor's have a customer twice; in order, as they are stored.
select distinct on (account_id) * from account
where from_status <> to_status
order by account_id
