-- Write what the profiles found, with whom a digest was written to. Parameters: run_id, business_date.
insert into crm.inactive_account (
    profile_id,
    account_id,
    found_on,
    last_movement_at,
    last_process,
    owner_before,
    owner_after,
    transferred,
    notified,
    run_id
)
with told as (
    select
        n.profile_id,
        n.account_id,
        array_agg(n.login order by n.login) as logins
    from notice as n
    where
        n.login in (
            select written.login
            from (select distinct login from notice) as written
            inner join crm.message_key as k
                on k.dedupe_key = 'inactivity:' || %(run_id)s || ':' || written.login
        )
    group by n.profile_id, n.account_id
)

select
    f.profile_id,
    f.account_id,
    %(business_date)s,
    f.moved_at,
    f.process,
    f.owner_before,
    coalesce(t.owner_after, f.owner_before),
    coalesce(t.profile_id = f.profile_id, false),
    coalesce(n.logins, '{}'),
    %(run_id)s
from found as f
inner join profile as p on f.profile_id = p.id
left join transfer as t on f.account_id = t.account_id
left join told as n on f.profile_id = n.profile_id and f.account_id = n.account_id
where not p.newer
