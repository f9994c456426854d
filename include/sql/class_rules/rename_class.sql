-- Give a class another name. Parameters: old_name, name.
update crm.account_class set name = %(name)s where name = %(old_name)s
