-- The steps that went before the one that is done again count as done in the new attempt too.
-- Parameters: run_id (the new attempt), old_run_id, step.
insert into crm.run_step (run_id, step, done_at)
select
    %(run_id)s,
    before.step,
    before.done_at
from crm.run_step as before
left join crm.run_step as again on before.run_id = again.run_id and again.step = %(step)s
where
    before.run_id = %(old_run_id)s
    and before.step <> %(step)s
    and (again.done_at is null or before.done_at < again.done_at)
