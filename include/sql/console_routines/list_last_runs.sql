-- The newest run of each routine; nothing of one that never ran. Parameter: routines.
select
    r.id,
    r.routine,
    r.business_date,
    r.status,
    r.selected,
    r.changed,
    r.unchanged,
    r.skipped,
    r.failed,
    r.message,
    r.started_at,
    r.seconds
from unnest(%(routines)s::text []) as asked (routine)
cross join lateral (
    select * from crm.run where run.routine = asked.routine order by run.id desc limit 1
) as r
