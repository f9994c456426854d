-- Take the open alerts that the team was not told of. Parameter: run_id.
update crm.alert
set mail_status = 'sending', mail_run_id = %(run_id)s
where ended_at is null and mail_status = 'pending'
