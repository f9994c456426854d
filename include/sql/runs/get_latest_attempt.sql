-- The newest attempt at a run with the steps it has done. Parameters: routine, dag_run_id.
select
    id,
    routine,
    program,
    dag_run_id,
    attempt,
    run_type,
    business_date,
    asked_by,
    params,
    status,
    selected,
    changed,
    unchanged,
    skipped,
    failed,
    details,
    message,
    started_at,
    ended_at,
    summary_status,
    array(select step from crm.run_step where run_id = run.id order by done_at) as steps
from crm.run
where routine = %(routine)s and dag_run_id = %(dag_run_id)s
order by attempt desc
limit 1
