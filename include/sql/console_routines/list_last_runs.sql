-- The newest run of each routine; nothing of one that never ran. Parameter: routines.
with newest as (
    select
        asked.routine,
        (select max(run.id) from crm.run where run.routine = asked.routine) as id
    from unnest(cast(%(routines)s as text[])) as asked (routine)
    -- Else one that never ran would be looked for in all of them.
    where exists (select from crm.run where run.routine = asked.routine)
)

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
from newest
inner join crm.run as r on newest.id = r.id
