-- What a profile newly finds, with the last movement of the account; of several at the same instant a process
-- goes before quotes, these before orders, all before the account's own change. A movement that has a date
-- only is of the local midnight. Parameter: zone.
create temp table found on commit drop as
select
    q.profile_id,
    q.account_id,
    q.owner_login as owner_before,
    -- Who is no user at all has left too.
    q.owner_login is not null and u.active is not true as owner_left,
    greatest(q.changed_at, a.occurred_at, c.quoted_at, o.ordered_at) as moved_at,
    case greatest(q.changed_at, a.occurred_at, c.quoted_at, o.ordered_at)
        when a.occurred_at then a.process
        when c.quoted_at then 'quote'
        when o.ordered_at then 'order'
        else 'account'
    end as process
from quiet as q
inner join profile as p on q.profile_id = p.id
left join crm.app_user as u on q.owner_login = u.login
left join lateral (
    select
        m.occurred_at,
        m.process
    from crm.account_activity as m
    where m.account_id = q.account_id and m.process = any(p.processes) and m.occurred_at < p.starts_at
    order by m.occurred_at desc, m.process asc
    limit 1
) as a on true
left join lateral (
    select max(m.quoted_on)::timestamp at time zone %(zone)s as quoted_at
    from erp.quote as m
    where 'quote' = any(p.processes) and m.customer_id = q.erp_customer_id and m.quoted_on < p.starts_on
) as c on true
left join lateral (
    select max(m.ordered_on)::timestamp at time zone %(zone)s as ordered_at
    from erp.sales_order as m
    where 'order' = any(p.processes) and m.customer_id = q.erp_customer_id and m.ordered_on < p.starts_on
) as o on true;
drop table quiet;
analyze found;
