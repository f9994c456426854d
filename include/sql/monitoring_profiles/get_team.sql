-- The members of a team; no row when there is no such team. Parameter: name.
select array(select login from crm.team_member where team_id = team.id order by login) as members
from crm.team as team
where name = %(name)s
