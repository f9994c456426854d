-- Who changed a setting. Parameters: login, action, target, details, records.
insert into crm.audit_entry (login, action, target, details, records)
values (%(login)s, %(action)s, %(target)s, %(details)s, %(records)s)
