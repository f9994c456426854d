-- Let an address receive the summaries of a routine no more. Parameters: routine, email.
delete from crm.routine_recipient
where routine = %(routine)s and email = %(email)s
