-- An audience with its filter. Parameter: name.
select id, name, filter
from crm.audience
where name = %(name)s
