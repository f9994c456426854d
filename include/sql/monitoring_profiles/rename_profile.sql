-- Give a monitoring profile another name. Parameters: old_name, name.
update crm.monitoring_profile set name = %(name)s
where name = %(old_name)s
