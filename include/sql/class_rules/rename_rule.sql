-- Give a class rule another name. Parameters: old_name, name.
update crm.class_rule set name = %(name)s where name = %(old_name)s
