-- Write down that a step is done and add its counts to the run.
-- Parameters: run_id, step, the fields of Outcome.
with step as (
    insert into crm.run_step (run_id, step) values (%(run_id)s, %(step)s) returning run_id
)

update crm.run
set
    selected = selected + %(selected)s,
    changed = changed + %(changed)s,
    unchanged = unchanged + %(unchanged)s,
    skipped = skipped + %(skipped)s,
    failed = failed + %(failed)s,
    details = details || %(details)s,
    message = null
from step
where run.id = step.run_id
