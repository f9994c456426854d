-- Let one person at a time change audiences. No parameters.
select pg_advisory_xact_lock(hashtext('rotina.audiences'))
