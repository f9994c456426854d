-- Let a monitoring profile notify these users and no others. Parameters: profile_id, users (logins).
with removed as (
    delete from crm.monitoring_profile_user
    where profile_id = %(profile_id)s and login <> all(%(users)s::text[])
)

insert into crm.monitoring_profile_user (profile_id, login)
select
    %(profile_id)s,
    login
from unnest(%(users)s::text[]) as given (login)
on conflict do nothing
