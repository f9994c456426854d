-- Delete a class rule. Parameter: name.
delete from crm.class_rule where name = %(name)s
