-- What an e-mail of a run tells: the alerts that it took, and the open ones of which the team was told
-- before. Parameter: run_id.
select
    id,
    problem,
    subject,
    message,
    remedy,
    command,
    began_at,
    raised_at,
    ended_at,
    case
        when mail_status = 'sending' and mail_run_id = %(run_id)s then 'new'
        when recovery_status = 'sending' and recovery_run_id = %(run_id)s then 'over'
        else 'lasting'
    end as part
from crm.alert
where
    ended_at is null
    or (recovery_status = 'sending' and recovery_run_id = %(run_id)s)
order by id
