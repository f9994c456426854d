-- What came of the sending of a summary. Parameters: run_id, status, error.
update crm.run set summary_status = %(status)s, summary_error = %(error)s
where id = %(run_id)s
