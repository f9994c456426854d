-- Let an address receive the summaries of a routine; one that does stays. Parameters: routine, email.
insert into crm.routine_recipient (routine, email)
values (%(routine)s, %(email)s)
on conflict do nothing
