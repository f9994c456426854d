-- Set what the company decided about its daily file batch. Parameters: instance_id, first_business_date,
-- due_at, connection_id, acknowledge_within_hours, active, login.
insert into crm.daily_file_setting (
    instance_id, first_business_date, due_at, connection_id, acknowledge_within_hours, active, updated_by
)
values (
    %(instance_id)s,
    %(first_business_date)s,
    %(due_at)s,
    %(connection_id)s,
    %(acknowledge_within_hours)s,
    %(active)s,
    %(login)s
)
on conflict (singleton) do update
    set
        instance_id = excluded.instance_id,
        first_business_date = excluded.first_business_date,
        due_at = excluded.due_at,
        connection_id = excluded.connection_id,
        acknowledge_within_hours = excluded.acknowledge_within_hours,
        active = excluded.active,
        updated_by = excluded.updated_by,
        updated_at = now()
