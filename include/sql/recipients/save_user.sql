-- Insert a user, or change the one of that login. Parameters: login, name, email, active.
insert into crm.app_user (login, name, email, active)
values (%(login)s, %(name)s, %(email)s, %(active)s)
on conflict (login) do update
    set name = excluded.name, email = excluded.email, active = excluded.active
