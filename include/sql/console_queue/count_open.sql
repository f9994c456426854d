-- How many messages there are of each status that may want somebody's attention, each counted to a bound.
-- Parameter: most.
select
    'waiting' as status,
    (
        select count(*) from (
            select from crm.message
            where status = 'waiting' and ready
            order by gateway_id
            limit %(most)s
        ) as ready
    ) + (
        select count(*) from (
            select from crm.message
            where status in ('waiting', 'held') and not ready and status = 'waiting'
            order by gateway_id
            limit %(most)s
        ) as later
    ) as messages
union all
select
    'held' as status,
    (
        select count(*) from (
            select from crm.message
            where status in ('waiting', 'held') and not ready and status = 'held'
            order by gateway_id
            limit %(most)s
        ) as held
    ) as messages
union all
select
    'sending' as status,
    (
        select count(*) from (
            select from crm.message
            where status = 'sending'
            order by lease_until
            limit %(most)s
        ) as sending
    ) as messages
union all
select
    'unknown' as status,
    (
        select count(*) from (
            select from crm.message
            where status = 'unknown'
            order by gateway_id
            limit %(most)s
        ) as unknown
    ) as messages
union all
select
    'failed' as status,
    (
        select count(*) from (
            select from crm.message
            where status = 'failed'
            order by gateway_id
            limit %(most)s
        ) as failed
    ) as messages
