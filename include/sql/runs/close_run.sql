-- Close a run that is open. Parameters: run_id, status, message.
update crm.run
set status = %(status)s, message = coalesce(message, %(message)s), ended_at = clock_timestamp()
where id = %(run_id)s and status = 'running'
