-- Let one person at a time change integrations. No parameters.
select pg_advisory_xact_lock(hashtext('rotina.integrations'))
