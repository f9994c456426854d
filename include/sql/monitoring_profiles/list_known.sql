-- Which of these users, teams and audiences there are, and whether they can be worked with: a user who has
-- not left, a team with one who has not. Parameters: logins, teams, audiences (names).
select
    'user' as kind,
    login as name,
    active as usable
from crm.app_user
where login = any(%(logins)s::text[])
union all
select
    'team' as kind,
    team.name,
    exists(
        select from crm.team_member as member
        inner join crm.app_user as app_user on member.login = app_user.login
        where member.team_id = team.id and app_user.active
    ) as usable
from crm.team as team
where team.name = any(%(teams)s::text[])
union all
select
    'audience' as kind,
    name,
    true as usable
from crm.audience
where name = any(%(audiences)s::text[])
