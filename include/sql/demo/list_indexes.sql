-- The indexes of a schema's tables that hold no constraint, and the statements that make them. Of crm it is
-- those of the accounts alone. Parameters: schema.
select
    x.relname as index_name,
    pg_get_indexdef(x.oid) as definition
from pg_index as i
inner join pg_class as x on i.indexrelid = x.oid
inner join pg_class as t on i.indrelid = t.oid
where
    t.relnamespace = %(schema)s::regnamespace
    and (t.relnamespace <> 'crm'::regnamespace or t.relname = 'account')
    and not exists (select from pg_constraint as n where n.conindid = i.indexrelid)
order by x.relname
