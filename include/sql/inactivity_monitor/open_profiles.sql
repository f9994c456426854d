-- The profiles of the run in a temp table, with what they ask for: an account is inactive that has moved in
-- none of their processes from starts_at on; of a process that does not count, infinity says so.
-- Parameters: profile_ids, business_date, zone.
create temp table profile on commit drop as
select
    m.*,
    row_number() over (order by m.name) as turn,
    case when 'opportunity' = any(m.processes) then m.starts_at else 'infinity' end as opportunity_from,
    case when 'ticket' = any(m.processes) then m.starts_at else 'infinity' end as ticket_from,
    case when 'task' = any(m.processes) then m.starts_at else 'infinity' end as task_from,
    case
        when 'campaign_action' = any(m.processes) then m.starts_at else 'infinity'
    end as campaign_action_from,
    case when 'quote' = any(m.processes) then m.starts_on else 'infinity' end as quote_from,
    case when 'order' = any(m.processes) then m.starts_on else 'infinity' end as order_from
from (
    select
        p.id,
        p.name,
        p.processes,
        p.audience_id,
        p.transfer_to_login,
        p.transfer_to_team_id,
        p.notify_owners,
        p.layout,
        p.period_days,
        p.starts_on,
        p.starts_on::timestamp at time zone %(zone)s as starts_at,
        g.done_through_on,
        coalesce(g.done_through_on > %(business_date)s::date, false) as newer
    from (
        select
            *,
            %(business_date)s::date - period_days::integer as starts_on
        from crm.monitoring_profile
    ) as p
    left join crm.routine_progress as g
        on g.routine = 'inactivity_monitor' and g.scope = p.id::text
    where p.id = any(%(profile_ids)s::bigint[])
) as m;
analyze profile;
