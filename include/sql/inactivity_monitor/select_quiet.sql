-- The accounts that a profile newly finds without movement, in a temp table. The movements of the longest
-- period are read once for all profiles. An account that a profile found before and that has not moved since
-- is left out. A movement on the day that it was found counts: had it been known then, it would not have been
-- found. One found within the period cannot have moved, it would not be here.
-- Parameters: business_date, ends_at (its last instant is before it), since_on and since (first day of the
-- longest period, and its first instant), with_activities, with_quotes and with_orders (whether a profile
-- asks for them), zone.
create temp table quiet on commit drop as
with moved as (
    select
        account_id,
        max(occurred_at) filter (where process = 'opportunity') as opportunity_at,
        max(occurred_at) filter (where process = 'ticket') as ticket_at,
        max(occurred_at) filter (where process = 'task') as task_at,
        max(occurred_at) filter (where process = 'campaign_action') as campaign_action_at
    from crm.account_activity
    where %(with_activities)s and occurred_at >= %(since)s and occurred_at < %(ends_at)s
    group by account_id
),

quoted as (
    select
        customer_id,
        max(quoted_on) as quoted_on
    from erp.quote
    where %(with_quotes)s and quoted_on between %(since_on)s and %(business_date)s
    group by customer_id
),

ordered as (
    select
        customer_id,
        max(ordered_on) as ordered_on
    from erp.sales_order
    where %(with_orders)s and ordered_on between %(since_on)s and %(business_date)s
    group by customer_id
),

existing as (
    select
        id,
        erp_customer_id,
        owner_login,
        -- What people changed later is not known to have been changed before.
        case
            when updated_at < %(ends_at)s then greatest(created_at, updated_at) else created_at
        end as changed_at
    from crm.account
    where active and created_at < %(ends_at)s
),

found as (
    select
        profile_id,
        account_id,
        max(found_on) as found_on
    from crm.inactive_account
    group by account_id, profile_id
),

newest as (
    select
        a.id,
        a.erp_customer_id,
        a.owner_login,
        a.changed_at,
        m.opportunity_at,
        m.ticket_at,
        m.task_at,
        m.campaign_action_at,
        q.quoted_on,
        o.ordered_on
    from existing as a
    left join moved as m on a.id = m.account_id
    left join quoted as q on a.erp_customer_id = q.customer_id
    left join ordered as o on a.erp_customer_id = o.customer_id
    -- So that this is joined once for each account, not once for each profile as well.
    offset 0 -- noqa: AM09
)

select
    p.id as profile_id,
    a.id as account_id,
    a.erp_customer_id,
    a.owner_login,
    a.changed_at
from newest as a
cross join profile as p
left join found as f on a.id = f.account_id and p.id = f.profile_id
where
    a.changed_at < p.starts_at
    and (a.opportunity_at < p.opportunity_from) is not false
    and (a.ticket_at < p.ticket_from) is not false
    and (a.task_at < p.task_from) is not false
    and (a.campaign_action_at < p.campaign_action_from) is not false
    and (a.quoted_on < p.quote_from) is not false
    and (a.ordered_on < p.order_from) is not false
    and (
        p.audience_id is null
        or (p.audience_id, a.id) in (select s.audience_id, s.account_id from audience_member as s)
    )
    and (
        f.found_on is null
        or (
            f.found_on < p.starts_on
            and (
                a.changed_at >= f.found_on::timestamp at time zone %(zone)s
                or exists (
                    select from crm.account_activity as later
                    where
                        later.account_id = a.id
                        and later.occurred_at >= f.found_on::timestamp at time zone %(zone)s
                        and later.occurred_at < p.starts_at
                        and later.process = any(p.processes)
                )
                or (
                    'quote' = any(p.processes)
                    and exists (
                        select from erp.quote as later
                        where
                            later.customer_id = a.erp_customer_id
                            and later.quoted_on >= f.found_on
                            and later.quoted_on < p.starts_on
                    )
                )
                or (
                    'order' = any(p.processes)
                    and exists (
                        select from erp.sales_order as later
                        where
                            later.customer_id = a.erp_customer_id
                            and later.ordered_on >= f.found_on
                            and later.ordered_on < p.starts_on
                    )
                )
            )
        )
    )
