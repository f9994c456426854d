-- Let one person at a time change the settings. No parameters.
select pg_advisory_xact_lock(hashtext('rotina.daily_file_setting'))
