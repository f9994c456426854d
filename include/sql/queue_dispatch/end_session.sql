-- End a session whose client lost it, and wait until it has ended; nothing if it is gone. Parameters: pid,
-- started_at.
select pg_terminate_backend(pid, 5000)
from pg_stat_activity
where pid = %(pid)s::int and backend_start = %(started_at)s
