-- Open a run record as the next attempt. Parameters: the fields of RunRequest.
insert into crm.run (
    routine, program, dag_run_id, attempt, run_type, business_date, asked_by, params
)
select
    %(routine)s,
    %(program)s,
    %(dag_run_id)s,
    coalesce(max(attempt), 0) + 1,
    %(run_type)s,
    %(business_date)s::date,
    %(asked_by)s,
    %(params)s
from crm.run
where routine = %(routine)s and dag_run_id = %(dag_run_id)s
