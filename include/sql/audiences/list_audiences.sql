-- The audiences of a name, or of some keys. What is stored as their filter may be anything, JSON null too: it
-- is given as text, empty for a list. Parameters: name, ids (either may be empty).
select
    id,
    name,
    filter::text as filter
from crm.audience
where name = %(name)s or id = any(%(ids)s::bigint[])
order by id
