-- Why a run is failing. Parameters: run_id, message.
update crm.run set message = %(message)s
where id = %(run_id)s and status = 'running'
