-- Write down who did what, to a setting or to the queue; returns the key of the entry. Parameters: login,
-- action, target, details, records.
insert into crm.audit_entry (login, action, target, details, records)
values (%(login)s, %(action)s, %(target)s, %(details)s, %(records)s)
returning id
