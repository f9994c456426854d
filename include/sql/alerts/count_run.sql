-- What the e-mails of a run told, and what they may have told or not. Parameter: run_id.
select
    coalesce(sum((mail_run_id = %(run_id)s and mail_status = 'sent')::int), 0)
    + coalesce(sum((recovery_run_id = %(run_id)s and recovery_status = 'sent')::int), 0) as sent,
    coalesce(sum((mail_run_id = %(run_id)s and mail_status = 'unknown')::int), 0)
    + coalesce(sum((recovery_run_id = %(run_id)s and recovery_status = 'unknown')::int), 0) as unknown
from crm.alert
where %(run_id)s in (mail_run_id, recovery_run_id)
