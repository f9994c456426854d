-- Let one person at a time change classes and class rules. No parameters.
select pg_advisory_xact_lock(hashtext('rotina.class_rules'))
