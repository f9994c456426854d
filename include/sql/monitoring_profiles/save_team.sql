-- Make a team of that name, unless there is one, and let it have these members and no others.
-- Parameters: name, members (logins).
with saved as (
    insert into crm.team (name) values (%(name)s)
    on conflict (name) do update set name = excluded.name
    returning id
),

removed as (
    delete from crm.team_member
    where team_id in (select id from saved) and login <> all(%(members)s::text[])
)

insert into crm.team_member (team_id, login)
select
    saved.id,
    given.login
from saved
cross join unnest(%(members)s::text[]) as given (login)
on conflict do nothing
