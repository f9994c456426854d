-- The key of an audience. Parameter: name.
select id from crm.audience where name = %(name)s
