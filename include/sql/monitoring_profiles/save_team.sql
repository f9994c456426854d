-- Make a team of that name, unless there is one, and let it have these members and no others.
-- Parameters: name, members (logins).
insert into crm.team (name) values (%(name)s) on conflict do nothing;
delete from crm.team_member
using crm.team
where
    team_member.team_id = team.id
    and team.name = %(name)s
    and team_member.login <> all(%(members)s::text[]);
insert into crm.team_member (team_id, login)
select
    team.id,
    given.login
from crm.team as team
cross join unnest(%(members)s::text[]) as given (login)
where team.name = %(name)s
on conflict do nothing;
