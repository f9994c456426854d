-- Insert a monitoring profile, or change the one of that name; returns its id. Parameters: name, active,
-- period_days, processes, audience and transfer_to_team (names), transfer_to_login, notify_owners, layout,
-- login.
insert into crm.monitoring_profile (
    name,
    active,
    period_days,
    processes,
    audience_id,
    transfer_to_login,
    transfer_to_team_id,
    notify_owners,
    layout,
    updated_by
)
values (
    %(name)s,
    %(active)s,
    %(period_days)s,
    %(processes)s,
    (select id from crm.audience where name = %(audience)s),
    %(transfer_to_login)s,
    (select id from crm.team where name = %(transfer_to_team)s),
    %(notify_owners)s,
    %(layout)s,
    %(login)s
)
on conflict (name) do update
    set
        active = excluded.active,
        period_days = excluded.period_days,
        processes = excluded.processes,
        audience_id = excluded.audience_id,
        transfer_to_login = excluded.transfer_to_login,
        transfer_to_team_id = excluded.transfer_to_team_id,
        notify_owners = excluded.notify_owners,
        layout = excluded.layout,
        updated_at = now(),
        updated_by = excluded.updated_by
returning id
