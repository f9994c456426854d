-- Insert a class, or change the one of that name; returns it. Parameters: name, active.
insert into crm.account_class (name, active) values (%(name)s, %(active)s)
on conflict (name) do update set active = excluded.active
returning id, name, active
