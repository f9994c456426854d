-- Delete a step of the dunning schedule; returns it. Parameter: name.
delete from crm.dunning_step where name = %(name)s
returning id, name, days, template_id, priority, next_business_day, valid_days, active
