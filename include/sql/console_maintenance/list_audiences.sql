-- The names of the audiences. No parameters.
select name
from crm.audience
order by name
