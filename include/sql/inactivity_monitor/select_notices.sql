-- Who is told of which account, in a temp table: the users of a profile of all that it finds, and where it
-- says so the owner before and the owner after of theirs. An owner who left is told nothing; a user of a
-- profile who left is in it, to be named. No parameters.
create temp table notice on commit drop as
with told as (
    select
        u.login,
        f.profile_id,
        f.account_id,
        true as by_profile
    from found as f
    inner join profile as p on f.profile_id = p.id
    inner join crm.monitoring_profile_user as u on p.id = u.profile_id
    where not p.newer
    union all
    select
        o.login,
        f.profile_id,
        f.account_id,
        false as by_profile
    from found as f
    inner join profile as p on f.profile_id = p.id
    left join transfer as t on f.account_id = t.account_id
    cross join lateral (values (f.owner_before), (t.owner_after)) as o (login)
    where not p.newer and p.notify_owners and o.login is not null
)

select
    t.login,
    t.profile_id,
    t.account_id,
    u.active as reachable
from told as t
inner join crm.app_user as u on t.login = u.login
where u.active or t.by_profile
group by t.login, t.profile_id, t.account_id, u.active;
analyze notice;
