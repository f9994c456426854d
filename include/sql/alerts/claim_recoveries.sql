-- Take the alerts that are over and of which the team was not told so. Parameter: run_id.
update crm.alert
set recovery_status = 'sending', recovery_run_id = %(run_id)s
where recovery_status = 'pending'
