-- Delete an audience, and its list with it. Parameter: audience_id.
delete from crm.audience where id = %(audience_id)s
