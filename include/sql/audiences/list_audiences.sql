-- The audiences of a name, or of some keys. What is stored as their filter may be anything, JSON null too.
-- Parameters: name, ids (either may be empty).
select
    id,
    name,
    filter,
    filter is not null as by_filter
from crm.audience
where name = %(name)s or id = any(%(ids)s::bigint[])
order by id
