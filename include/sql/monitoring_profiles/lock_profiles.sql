-- Let one person at a time change monitoring profiles and teams. No parameters.
select pg_advisory_xact_lock(hashtext('rotina.monitoring'))
