-- How many messages there are of each status, archived ones included. Parameter: since (created from then on;
-- null: all).
select
    status,
    count(*) as messages
from (
    select
        status,
        created_at
    from crm.message
    union all
    select
        status,
        created_at
    from crm.message_archive
) as m
where %(since)s::timestamptz is null or created_at >= %(since)s::timestamptz
group by status
