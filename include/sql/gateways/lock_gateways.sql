-- Let one person at a time change gateways; who sends is not held up. No parameters.
select pg_advisory_xact_lock(hashtext('rotina.gateways'))
