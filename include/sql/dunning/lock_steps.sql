-- Let one person at a time change the dunning schedule. No parameters.
select pg_advisory_xact_lock(hashtext('rotina.dunning'))
