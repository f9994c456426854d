-- Give up the right to run a routine. Parameter: routine.
select pg_advisory_unlock(hashtext('rotina.run'), hashtext(%(routine)s))
