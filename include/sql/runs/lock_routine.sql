-- Wait for the right to run a routine; held until unlocked or the session ends. Parameter: routine.
select pg_advisory_lock(hashtext('rotina.run'), hashtext(%(routine)s))
