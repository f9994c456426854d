-- What each person is told, a row per person: the profiles with how many accounts, the first accounts by
-- name, and all as CSV when there are more, as far as it may fit. A cell that a spreadsheet would take for a
-- formula begins with an apostrophe. Parameters: listed (accounts in the e-mail), payload_limit (bytes),
-- processes and process_titles (of each of them), zone.
with ranked as (
    select
        n.login,
        n.profile_id,
        n.account_id,
        f.moved_at,
        f.process,
        f.owner_before,
        f.owner_left,
        row_number() over (partition by n.login order by p.turn, f.moved_at, n.account_id) as place,
        count(*) over (partition by n.login) as accounts
    from notice as n
    inner join profile as p on n.profile_id = p.id
    inner join found as f on n.profile_id = f.profile_id and n.account_id = f.account_id
    where n.reachable
),

line as (
    select
        r.login,
        r.place,
        r.accounts,
        r.account_id,
        p.name as profile,
        -- A line break within a name would end the line of the file.
        regexp_replace(a.name, '[[:cntrl:]]+', ' ', 'g') as name,
        to_char(r.moved_at at time zone %(zone)s, 'DD/MM/YYYY') as moved_on,
        coalesce(title.title, r.process) as process,
        r.owner_before,
        r.owner_left,
        coalesce(t.owner_after, r.owner_before) as owner_after
    from ranked as r
    inner join profile as p on r.profile_id = p.id
    inner join crm.account as a on r.account_id = a.id
    left join transfer as t on r.account_id = t.account_id
    left join unnest(%(processes)s::text[], %(process_titles)s::text[]) as title (process, title)
        on r.process = title.process
    -- No line of the file is shorter than 32 bytes.
    where r.place <= greatest(%(listed)s, %(payload_limit)s / 32)
),

line_of_file as (
    select
        l.*,
        c.cells,
        sum(octet_length(c.cells) + 2) over (partition by l.login order by l.place) as bytes
    from line as l
    left join lateral (
        select
            string_agg(
                '"' || replace(
                    case when cell.value ~ '^\s*[=+@-]' then '''' || cell.value else cell.value end, '"', '""'
                ) || '"',
                ';'
                order by cell.place
            ) as cells
        from
            unnest(
                array[
                    l.profile,
                    l.account_id::text,
                    l.name,
                    l.moved_on,
                    l.process,
                    coalesce(l.owner_before, ''),
                    coalesce(l.owner_after, '')
                ]
            ) with ordinality as cell (value, place)
        where l.accounts > %(listed)s
    ) as c on true
),

told as (
    select
        l.login,
        max(l.accounts) as accounts,
        jsonb_agg(
            jsonb_build_object(
                'profile', l.profile,
                'account_id', l.account_id,
                'name', l.name,
                'moved_on', l.moved_on,
                'process', l.process,
                'owner_before', l.owner_before,
                'owner_left', l.owner_left,
                'owner_after', l.owner_after
            )
            order by l.place
        ) filter (where l.place <= %(listed)s) as rows,
        string_agg(l.cells || E'\r\n', '' order by l.place) filter (where l.bytes <= %(payload_limit)s) as csv
    from line_of_file as l
    group by l.login
),

outlined as (
    select
        n.login,
        jsonb_agg(
            jsonb_build_object('name', p.name, 'period_days', p.period_days, 'accounts', n.accounts)
            order by p.turn
        ) as profiles,
        -- A person who is told by several profiles gets the layout of the first.
        (array_agg(p.layout order by p.turn))[1] as layout
    from (
        select
            login,
            profile_id,
            count(*) as accounts
        from notice
        group by login, profile_id
    ) as n
    inner join profile as p on n.profile_id = p.id
    group by n.login
)

select
    t.login,
    u.name,
    u.email,
    t.accounts,
    t.rows,
    t.csv,
    o.profiles,
    o.layout
from told as t
inner join crm.app_user as u on t.login = u.login
inner join outlined as o on t.login = o.login
order by t.login
