-- The monitoring profile of a name, active or not; without a name the active ones, in the order in which they
-- transfer. Parameter: name.
select
    profile.id,
    profile.name,
    profile.active,
    profile.period_days,
    profile.processes,
    audience.name as audience,
    profile.audience_id,
    profile.transfer_to_login,
    team.name as transfer_to_team,
    profile.notify_owners,
    profile.layout,
    array(
        select member.login
        from crm.monitoring_profile_user as member
        where member.profile_id = profile.id
        order by member.login
    ) as users
from crm.monitoring_profile as profile
left join crm.audience as audience on profile.audience_id = audience.id
left join crm.team as team on profile.transfer_to_team_id = team.id
where (profile.name = %(name)s or (%(name)s::text is null and profile.active))
order by profile.name
