-- Give up what a run was sending when it was interrupted: nobody knows whether it was sent. Returns
-- what each one told. No parameters.
update crm.alert
set
    mail_status = case mail_status when 'sending' then 'unknown' else mail_status end,
    recovery_status = case recovery_status when 'sending' then 'unknown' else recovery_status end
where 'sending' in (mail_status, recovery_status)
returning message
