-- Insert an integration, or change the one of that code. Parameters: code, name, active, settings.
insert into crm.integration (code, name, active, settings)
values (%(code)s, %(name)s, %(active)s, %(settings)s)
on conflict (code) do update
    set
        name = excluded.name,
        active = excluded.active,
        settings = excluded.settings
