-- Insert an audience or change the one of that name. Parameters: name, filter (empty: a list), login.
insert into crm.audience as audience (name, filter, updated_by)
values (%(name)s, %(filter)s, %(login)s)
on conflict (name) do update
    set
        filter = excluded.filter,
        updated_at = now(),
        updated_by = excluded.updated_by
returning id, filter
