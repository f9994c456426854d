-- Take the sending of a summary: one task at most gets a row, and one that was interrupted while sending gets
-- none. Parameters: run_id, recipients.
update crm.run
set summary_status = 'sending', summary_to = %(recipients)s, summary_error = null
where id = %(run_id)s and summary_status in ('pending', 'failed', 'no_recipient')
returning id
