-- The names of the active class rules, in the order in which they are tried. No parameters.
select name
from crm.class_rule
where active
order by priority, id
