-- Note that the profiles have done the business date, unless they had come as far before.
-- Parameters: business_date, run_id.
insert into crm.routine_progress (routine, scope, done_through_on, run_id)
select
    'inactivity_monitor',
    p.id::text,
    %(business_date)s,
    %(run_id)s
from profile as p
where p.done_through_on is null or p.done_through_on < %(business_date)s
on conflict (routine, scope) do update
    set done_through_on = excluded.done_through_on, run_id = excluded.run_id
