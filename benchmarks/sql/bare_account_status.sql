-- The status of every account as one would compute it by hand, counted against what it is. Parameters: since,
-- business_date.
with movement as (
    select customer_id from erp.invoice
    where issued_on between %(since)s and %(business_date)s and cancelled_at is null
    union all
    select customer_id from erp.sales_order
    where ordered_on between %(since)s and %(business_date)s and status is distinct from 'cancelled'
),

moved as (
    select customer_id from movement
    group by customer_id
)

select
    a.status as from_status,
    case
        when c.customer_id is null then 'not_integrated'
        when m.customer_id is null then 'inactive'
        else 'active'
    end as to_status,
    count(*) as accounts
from crm.account as a
left join erp.customer as c on a.erp_customer_id = c.customer_id
left join moved as m on a.erp_customer_id = m.customer_id
group by from_status, to_status
