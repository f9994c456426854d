-- What a profile newly finds, with the last movement of the account: of those at the same instant the first
-- by name. A movement that has a date only is of the local midnight. Parameter: zone.
create temp table found on commit drop as
select
    q.profile_id,
    q.account_id,
    q.owner_login as owner_before,
    -- Who is no user at all has left too.
    q.owner_login is not null and u.active is not true as owner_left,
    last.moved_at,
    last.process
from quiet as q
inner join profile as p on q.profile_id = p.id
left join crm.app_user as u on q.owner_login = u.login
cross join lateral (
    with movement (moved_at, process) as (
        select
            q.changed_at,
            'account'
        union all
        (
            select
                a.occurred_at,
                a.process
            from crm.account_activity as a
            where
                a.account_id = q.account_id
                and a.process = any(p.processes)
                and a.occurred_at < p.starts_at
            order by a.occurred_at desc, a.process asc
            limit 1
        )
        union all
        select
            max(c.quoted_on)::timestamp at time zone %(zone)s,
            'quote'
        from erp.quote as c
        where 'quote' = any(p.processes) and c.customer_id = q.erp_customer_id and c.quoted_on < p.starts_on
        union all
        select
            max(o.ordered_on)::timestamp at time zone %(zone)s,
            'order'
        from erp.sales_order as o
        where 'order' = any(p.processes) and o.customer_id = q.erp_customer_id and o.ordered_on < p.starts_on
    )

    select
        movement.moved_at,
        movement.process
    from movement
    where movement.moved_at is not null
    order by movement.moved_at desc, movement.process asc
    limit 1
) as last;
drop table quiet;
analyze found;
