-- Move the attempts of the selected messages into the archive. No parameters.
with gone as (
    delete from crm.message_attempt as m
    using archived as a
    where m.message_id = a.id
    returning m.*, a.created_at as message_created_at
)

insert into crm.message_attempt_archive (
    message_id, number, message_created_at, run_id, token, started_at, ended_at, outcome, code, error
)
select
    message_id,
    number,
    message_created_at,
    run_id,
    token,
    started_at,
    ended_at,
    outcome,
    code,
    error
from gone
