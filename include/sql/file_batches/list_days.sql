-- How each day of a stretch stands in the ledger: its newest generated batch, with the files that were made
-- of it, and its newest run. Days that the ledger does not know have a row as well. A batch counts as
-- delivered or verified when all of its files are; a correction has the grace from when it was made.
-- Parameters: first_on, last_on, due_at (local time of the next day), timezone, grace,
-- acknowledge_within_hours (null: nothing is acknowledged), routine.
with day as (
    select
        %(first_on)s::date + n as business_date,
        ((%(first_on)s::date + n + 1) + %(due_at)s::time) at time zone %(timezone)s as due_at
    from generate_series(0, %(last_on)s::date - %(first_on)s::date) as n
),

ledger as (
    select
        b.*,
        first_value(b.delivered_at) over first_to_last as first_delivered_at,
        first_value(b.due_at) over first_to_last as first_due_at,
        lag(b.sequence) over first_to_last as corrects,
        row_number() over (
            partition by b.business_date order by (b.generated_at is null), b.revision desc
        ) as place
    from crm.file_batch as b
    where b.business_date between %(first_on)s::date and %(last_on)s::date
    window first_to_last as (partition by b.business_date order by b.revision)
)

select
    d.business_date,
    coalesce(l.first_due_at, d.due_at) as due_at,
    greatest(
        coalesce(l.due_at, d.due_at),
        case when l.revision > 1 then l.generated_at + %(grace)s end
    ) as complete_by,
    l.revision,
    l.sequence,
    l.corrects,
    l.generated_at,
    l.delivery_began_at,
    case when f.all_delivered then l.delivered_at end as delivered_at,
    case when f.all_verified then l.verified_at end as verified_at,
    l.first_delivered_at,
    l.acknowledged_at,
    l.delivered_at + make_interval(hours => %(acknowledge_within_hours)s) as acknowledge_by,
    l.error,
    coalesce(f.files, '[]') as files,
    r.id as run_id,
    r.status as run_status
from day as d
left join ledger as l on d.business_date = l.business_date and l.place = 1
left join lateral (
    select
        bool_and(delivered_at is not null) as all_delivered,
        bool_and(delivered_at is not null and verified_at is not null) as all_verified,
        jsonb_agg(
            jsonb_build_object('feed', feed, 'name', name, 'rows', rows, 'bytes', bytes, 'sha256', sha256)
        ) filter (where generated_at is not null) as files
    from crm.file_batch_file
    where batch_id = l.id
) as f on true
left join lateral (
    select
        id,
        status
    from crm.run
    where routine = %(routine)s and business_date = d.business_date
    order by id desc
    limit 1
) as r on true
order by d.business_date
