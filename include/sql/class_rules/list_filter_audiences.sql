-- The audiences that are filters. No parameters.
select name, filter
from crm.audience
where filter is not null
order by name
