-- The newest business date that a routine has done. Parameters: routine, scope.
select done_through_on
from crm.routine_progress
where routine = %(routine)s and scope = %(scope)s
