-- Days of daily routines that no run did for good, since the first run of each routine: with its newest
-- attempt. A run that changes nothing (dry run) or does a part only (audience, profile) does not do the day.
-- A run that began a short while ago may still do it. Parameters: routines, dates, scheduled_at (of each
-- day), began_after.
with expected as (
    select *
    from
        unnest(%(routines)s::text[], %(dates)s::date[], %(scheduled_at)s::timestamptz[])
            as e (routine, business_date, scheduled_at)
),

first_run as (
    select
        routine,
        min(started_at) as started_at
    from crm.run
    where routine = any(%(routines)s::text[])
    group by routine
)

select
    e.routine,
    e.business_date,
    e.scheduled_at,
    newest.status,
    newest.message,
    newest.started_at
from expected as e
inner join first_run as f on e.routine = f.routine and e.scheduled_at >= f.started_at
left join lateral (
    select
        r.status,
        r.message,
        r.started_at
    from crm.run as r
    where r.routine = e.routine and r.business_date = e.business_date
    order by r.id desc
    limit 1
) as newest on true
where
    not exists (
        select from crm.run as r
        where
            r.routine = e.routine
            and r.business_date = e.business_date
            and (
                (
                    r.status in ('succeeded', 'skipped')
                    and coalesce(r.params ->> 'dry_run', 'false') = 'false'
                    and r.params ->> 'audience' is null
                    and r.params ->> 'profile' is null
                )
                or (r.status = 'running' and r.started_at > %(began_after)s)
            )
    )
order by e.routine, e.business_date
