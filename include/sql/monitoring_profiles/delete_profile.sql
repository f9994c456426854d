-- Delete a monitoring profile, with whom it notifies. Parameter: profile_id.
delete from crm.monitoring_profile
where id = %(profile_id)s
