-- Why the status of each compared account changes: the last day of its newest adhesion that had begun by the
-- business date, if it ever had one; no day while that has no end. Parameter: business_date.
create temp table change on commit drop as
with adhesion as (
    select
        h.customer_id,
        max(coalesce(h.ends_on, 'infinity')) as ends_on
    from compared as c
    inner join erp.health_plan_adhesion as h on c.customer_id = h.customer_id
    where h.starts_on <= %(business_date)s and h.cancelled_at is null
    group by h.customer_id
)

select
    c.account_id,
    c.from_status,
    c.to_status,
    case
        when c.customer_id is null then 'not_linked'
        when c.to_status = 'not_integrated' then 'customer_missing'
        when c.to_status = 'active' then 'adhesion_in_force'
        when h.customer_id is null then 'no_adhesion'
        else 'adhesion_ended'
    end as reason,
    case when c.to_status <> 'not_integrated' and isfinite(h.ends_on) then h.ends_on end as reason_on
from compared as c
left join adhesion as h on c.customer_id = h.customer_id
