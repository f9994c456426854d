-- Let one person at a time change e-mail templates; who reads them is not held up. No parameters.
select pg_advisory_xact_lock(hashtext('rotina.email_templates'))
