-- End alerts: the problem is over, or has another alert on another day. What the team was told once of an
-- alert that came back on its day is not told again. Parameters: ids, recovered (of each: whether the team is
-- to be told that it is over), at.
update crm.alert as a
set
    ended_at = %(at)s,
    recovery_status
    = case when e.recovered then coalesce(a.recovery_status, 'pending') else a.recovery_status end
from unnest(%(ids)s::bigint[], %(recovered)s::boolean[]) as e (id, recovered)
where a.id = e.id
