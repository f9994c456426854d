-- Let one operator action work at a time; held until the transaction ends. No parameters.
select pg_advisory_xact_lock(hashtext('rotina.message_queue'))
