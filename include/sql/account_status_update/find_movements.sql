-- Why the status of each compared account changes: its last movement up to the business date, if it ever had
-- one. Parameter: business_date.
create temp table change on commit drop as
with movement as (
    select
        i.customer_id,
        i.issued_on as moved_on
    from compared as c
    inner join erp.invoice as i on c.customer_id = i.customer_id
    where i.cancelled_at is null
    union all
    select
        o.customer_id,
        o.ordered_on as moved_on
    from compared as c
    inner join erp.sales_order as o on c.customer_id = o.customer_id
    where o.status is distinct from 'cancelled'
),

last_movement as (
    select
        customer_id,
        max(moved_on) as moved_on
    from movement
    where moved_on <= %(business_date)s and isfinite(moved_on)
    group by customer_id
)

select
    c.account_id,
    c.from_status,
    c.to_status,
    case
        when c.customer_id is null then 'not_linked'
        when c.to_status = 'not_integrated' then 'customer_missing'
        when c.to_status = 'active' then 'movement'
        when m.moved_on is null then 'never_moved'
        else 'no_movement'
    end as reason,
    case when c.to_status <> 'not_integrated' then m.moved_on end as reason_on
from compared as c
left join last_movement as m on c.customer_id = m.customer_id
