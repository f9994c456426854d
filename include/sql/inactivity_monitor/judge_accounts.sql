-- What comes of each account that a profile newly finds, in a temp table: no reason means that it is written
-- and all is well. Parameter: dry_run.
create temp table judged on commit drop as
with by_account as (
    select
        f.account_id,
        bool_and(p.newer) as newer,
        bool_or(f.owner_left) as owner_left,
        min(f.owner_before) as owner_before,
        min(t.owner_after) as owner_after,
        string_agg(p.name, ', ' order by p.turn) filter (where not p.newer) as profiles,
        string_agg(p.name || ': ' || to_char(p.done_through_on, 'DD/MM/YYYY'), ', ' order by p.turn) filter (
            where p.newer
        ) as newer_profiles
    from found as f
    inner join profile as p on f.profile_id = p.id
    left join transfer as t on f.account_id = t.account_id
    group by f.account_id
)

select
    account_id,
    owner_left,
    owner_after is not null as transferred,
    case
        when newer then 'newer_data'
        when %(dry_run)s then 'would_be_found'
        when owner_left and owner_after is null then 'owner_left'
    end as reason,
    case
        when newer then newer_profiles
        when %(dry_run)s
            then concat_ws('; ', profiles, coalesce(owner_before, 'ninguém') || ' → ' || owner_after)
        else owner_before
    end as detail
from by_account
