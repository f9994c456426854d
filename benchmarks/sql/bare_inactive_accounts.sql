-- What the five profiles of the benchmark newly find on a day, as one would write it by hand for just these:
-- account and last movement, nothing written, nobody told, no owner chosen.
-- Parameters: day, midnight (at which it ends), ids (of the profiles, in their order).
create temp table bare_inactive_account as
with moved as (
    select
        account_id,
        max(occurred_at) as any_at,
        max(occurred_at) filter (where process in ('ticket', 'task')) as service_at,
        max(occurred_at) filter (where process in ('opportunity', 'campaign_action')) as sales_at,
        max(occurred_at) filter (where process = 'ticket') as ticket_at
    from crm.account_activity
    where occurred_at >= %(midnight)s::timestamptz - interval '366 days' and occurred_at < %(midnight)s
    group by account_id
),

quoted as (
    select distinct customer_id from erp.quote
    where quoted_on between %(day)s::date - 365 and %(day)s
),

ordered as (
    select distinct customer_id from erp.sales_order
    where ordered_on between %(day)s::date - 365 and %(day)s
),

newest as (
    select
        a.id,
        a.erp_customer_id,
        greatest(a.created_at, a.updated_at) as changed_at,
        m.any_at,
        m.service_at,
        m.sales_at,
        m.ticket_at,
        q.customer_id is not null as quoted,
        o.customer_id is not null as ordered
    from crm.account as a
    left join moved as m on a.id = m.account_id
    left join quoted as q on a.erp_customer_id = q.customer_id
    left join ordered as o on a.erp_customer_id = o.customer_id
    where a.active
    offset 0
),

new as (
    select
        p.profile,
        n.id as account_id,
        n.erp_customer_id,
        n.changed_at
    from newest as n
    cross join (
        values
        (1, 120, %(midnight)s::timestamptz - interval '121 days'),
        (2, 180, %(midnight)s::timestamptz - interval '181 days'),
        (3, 270, %(midnight)s::timestamptz - interval '271 days'),
        (4, 365, %(midnight)s::timestamptz - interval '366 days'),
        (5, 365, %(midnight)s::timestamptz - interval '366 days')
    ) as p (profile, period, starts_at)
    left join (
        select
            profile_id,
            account_id,
            max(found_on) as found_on
        from crm.inactive_account
        group by account_id, profile_id
    ) as f
        on n.id = f.account_id and f.profile_id = (%(ids)s::bigint[])[p.profile]
    where
        n.changed_at < p.starts_at
        and case p.profile
            when 1 then (n.any_at < p.starts_at) is not false
            when 2 then (n.service_at < p.starts_at) is not false
            when 3 then (n.sales_at < p.starts_at) is not false
            when 4 then n.ticket_at is null and not n.quoted
            else n.any_at is null and not n.quoted and not n.ordered
        end
        and (
            f.found_on is null
            or (
                f.found_on < %(day)s::date - p.period - 1
                and exists (
                    select from crm.account_activity as m
                    where
                        m.account_id = n.id
                        and m.occurred_at >= f.found_on + 1
                        and m.occurred_at < p.starts_at
                )
            )
        )
)

select
    n.profile,
    n.account_id,
    greatest(n.changed_at, a.occurred_at, c.quoted_on::timestamptz, o.ordered_on::timestamptz) as moved_at,
    a.process
from new as n
left join lateral (
    select
        m.occurred_at,
        m.process
    from crm.account_activity as m
    where
        m.account_id = n.account_id
        and m.occurred_at < %(midnight)s
        and case n.profile
            when 2 then m.process in ('ticket', 'task')
            when 3 then m.process in ('opportunity', 'campaign_action')
            when 4 then m.process = 'ticket'
            else true
        end
    order by m.occurred_at desc
    limit 1
) as a on true
left join lateral (
    select max(m.quoted_on) as quoted_on
    from erp.quote as m
    where n.profile in (4, 5) and m.customer_id = n.erp_customer_id and m.quoted_on <= %(day)s
) as c on true
left join lateral (
    select max(m.ordered_on) as ordered_on
    from erp.sales_order as m
    where n.profile = 5 and m.customer_id = n.erp_customer_id and m.ordered_on <= %(day)s
) as o on true
