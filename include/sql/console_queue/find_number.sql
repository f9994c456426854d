-- The lowest number from which on messages were included at an instant or later. Numbers grow with time, so
-- halving finds it in a few looks; those of transactions that overlapped lie about it. Parameter: at.
with recursive search as (
    select
        0 as looks,
        min(id) as low,
        max(id) + 1 as high
    from crm.message
    union all
    select
        s.looks + 1 as looks,
        case when m.created_at < %(at)s::timestamptz then m.id + 1 else s.low end as low,
        case when m.created_at < %(at)s::timestamptz then s.high else (s.low + s.high) / 2 end as high
    from search as s
    cross join
        lateral (
            select
                id,
                created_at
            from crm.message
            where id >= (s.low + s.high) / 2
            order by id
            limit 1
        ) as m
    where s.low < s.high
)

select low
from search
order by looks desc
limit 1
