-- Who gets an account, in a temp table, where that is another than who has it. The first profile that
-- transfers and finds an account decides. The accounts of a team go, by their ids, each to the member who
-- then has the fewest (the first by login of several); one that a member has stays there. No parameters.
create temp table transfer on commit drop as
with decided as materialized (
    select distinct on (f.account_id)
        f.account_id,
        f.profile_id,
        f.owner_before,
        p.transfer_to_login as to_login,
        p.transfer_to_team_id as team_id
    from found as f
    inner join profile as p on f.profile_id = p.id
    where not p.newer and num_nonnulls(p.transfer_to_login, p.transfer_to_team_id) > 0
    order by f.account_id asc, p.turn asc
),

member as materialized (
    select
        m.team_id,
        m.login
    from crm.team_member as m
    inner join crm.app_user as u on m.login = u.login
    where u.active and m.team_id in (select d.team_id from decided as d)
),

placed as (
    select
        d.account_id,
        d.profile_id,
        d.team_id,
        row_number() over (partition by d.team_id order by d.account_id) as place
    from decided as d
    where
        d.team_id is not null
        and not exists (select from member as m where m.team_id = d.team_id and m.login = d.owner_before)
),

wanted as (
    select
        team_id,
        count(*) as accounts
    from placed
    group by team_id
),

owned as (
    select
        owner_login as login,
        count(*) as accounts
    from crm.account
    where active and owner_login = any(array(select m.login from member as m))
    group by owner_login
),

-- The members, those with the fewest accounts first, and what those up to each of them have together.
ranked as (
    select
        m.team_id,
        m.login,
        coalesce(o.accounts, 0) as accounts,
        w.accounts as wanted,
        row_number() over fewest as members,
        sum(coalesce(o.accounts, 0)) over fewest as together
    from member as m
    inner join wanted as w on m.team_id = w.team_id
    left join owned as o on m.login = o.login
    window fewest as (partition by m.team_id order by coalesce(o.accounts, 0), m.login)
),

-- As water fills vessels: a member gets some if there are enough to raise all who have fewer to as many.
filled as (
    select
        *,
        count(*) over whole as getting,
        sum(accounts) over whole + wanted as level_of_all
    from ranked
    where members * accounts - together <= wanted
    window whole as (partition by team_id)
),

offered as (
    select
        f.team_id,
        f.login,
        row_number() over (partition by f.team_id order by step.accounts, f.login) as place
    from filled as f
    cross join lateral generate_series(f.accounts, div(f.level_of_all, f.getting)::bigint) as step (accounts)
)

select
    d.account_id,
    d.profile_id,
    d.to_login as owner_after
from decided as d
where d.to_login is distinct from d.owner_before and d.to_login is not null
union all
select
    p.account_id,
    p.profile_id,
    o.login
from placed as p
inner join offered as o on p.team_id = o.team_id and p.place = o.place
