-- Name in a run what its e-mail may have told or not. Parameter: run_id.
insert into crm.run_item (run_id, record_kind, record_id, outcome, reason, detail)
select
    %(run_id)s,
    'alert',
    problem || ' ' || subject,
    'failed',
    'alert_maybe_sent',
    message
from crm.alert
where
    (mail_run_id = %(run_id)s and mail_status = 'unknown')
    or (recovery_run_id = %(run_id)s and recovery_status = 'unknown')
on conflict do nothing
