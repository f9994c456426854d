-- Note that a routine has done a business date, unless it had come as far before.
-- Parameters: routine, scope, business_date, run_id.
insert into crm.routine_progress as p (routine, scope, done_through_on, run_id)
values (%(routine)s, %(scope)s, %(business_date)s, %(run_id)s)
on conflict (routine, scope) do update
    set done_through_on = excluded.done_through_on, run_id = excluded.run_id
    where p.done_through_on < excluded.done_through_on
