-- All classes. No parameters.
select id, name, active
from crm.account_class
order by name
