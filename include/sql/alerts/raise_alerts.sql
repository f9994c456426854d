-- Write down the problems of a day, each once. One that was over and came back on the same day is open again;
-- the team, which was told of it, is not told once more. Parameters: problems, subjects, messages, remedies,
-- commands, began_at (of each problem), day, at.
insert into crm.alert (problem, subject, raised_on, raised_at, began_at, message, remedy, command)
select
    problem,
    subject,
    %(day)s::date,
    %(at)s::timestamptz,
    began_at,
    message,
    remedy,
    command
from
    unnest(
        %(problems)s::text[],
        %(subjects)s::text[],
        %(messages)s::text[],
        %(remedies)s::text[],
        %(commands)s::text[],
        %(began_at)s::timestamptz[]
    ) as found (problem, subject, message, remedy, command, began_at)
on conflict (problem, subject, raised_on) do update
    set
        began_at = excluded.began_at,
        ended_at = null,
        recovery_status = nullif(alert.recovery_status, 'pending')
    where alert.ended_at is not null
