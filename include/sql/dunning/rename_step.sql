-- Give a step of the dunning schedule another name. Parameters: old_name, name.
update crm.dunning_step set name = %(name)s where name = %(old_name)s
