-- The days of the file batch with a problem: as the newest generated batch of each day stands in the ledger,
-- and what was late and not told yet. Days that the ledger does not know count as well. A correction
-- (revision 2 and later) is given the grace after it was made; nothing is late that went out before it was
-- watched. Parameters: first_on, last_on, due_at (local time of the next day), timezone, at, grace,
-- watched_from, acknowledge_within_hours (null: nothing is acknowledged).
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
        row_number() over (
            partition by b.business_date order by (b.generated_at is null), b.revision desc
        ) as place
    from crm.file_batch as b
    where b.business_date between %(first_on)s::date and %(last_on)s::date
    window first_to_last as (partition by b.business_date order by b.revision)
),

batch as (
    select
        d.business_date,
        l.revision,
        l.generated_at,
        l.delivered_at,
        l.verified_at,
        l.acknowledged_at,
        l.manifest_name,
        l.error,
        l.first_delivered_at,
        coalesce(l.first_due_at, d.due_at) as due_at,
        greatest(
            coalesce(l.due_at, d.due_at),
            case when l.revision > 1 then l.generated_at + %(grace)s end
        ) as complete_by,
        array(
            select feed
            from
                unnest(array['orders', 'orders_detail', 'orders_detail_categories', 'customers'])
                with ordinality as wanted (feed, place)
            where
                not exists (
                    select from crm.file_batch_file as f
                    where f.batch_id = l.id and f.feed = wanted.feed and f.generated_at is not null
                )
            order by wanted.place
        ) as missing_feeds,
        exists(select from crm.file_batch_file as f where f.batch_id = l.id and f.delivered_at is null)
            as file_undelivered,
        exists(select from crm.file_batch_file as f where f.batch_id = l.id and f.verified_at is null)
            as file_unverified
    from day as d
    left join ledger as l on d.business_date = l.business_date and l.place = 1
),

judged as (
    select
        b.*,
        case
            when b.generated_at is null and b.due_at <= %(at)s then 'batch_missing'
            when b.generated_at is null then null
            when cardinality(b.missing_feeds) > 0 then 'batch_incomplete'
            when b.complete_by <= %(at)s and (b.delivered_at is null or b.file_undelivered)
                then 'batch_undelivered'
            when b.complete_by <= %(at)s and (b.verified_at is null or b.file_unverified)
                then 'batch_unverified'
            when
                b.acknowledged_at is null
                and b.delivered_at + make_interval(hours => %(acknowledge_within_hours)s) <= %(at)s
                then 'batch_unacknowledged'
        end as problem
    from batch as b
),

late as (
    select
        b.*,
        'batch_late' as problem
    from batch as b
    where
        b.first_delivered_at > greatest(b.due_at, %(watched_from)s)
        -- The team was told while it lasted, or that it was late.
        and not exists (
            select from crm.alert as a
            where
                a.subject = b.business_date::text
                and a.problem in ('batch_missing', 'batch_incomplete', 'batch_undelivered')
        )
        and not exists (
            select from crm.alert as a
            where
                a.subject = b.business_date::text
                and a.problem = 'batch_late'
                and a.mail_status <> 'pending'
        )
)

select *
from (
    select * from judged
    where problem is not null
    union all
    select * from late
) as problems
order by business_date, problem
