-- When a routine began last; no row when it never did. Parameter: routine.
select started_at
from crm.run
where routine = %(routine)s
order by started_at desc
limit 1
