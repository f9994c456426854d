-- Columns of a schema that the current role may read: table, column, type. Parameter: schema.
select
    c.relname,
    a.attname,
    format_type(a.atttypid, null)
from pg_class as c
inner join pg_attribute as a on c.oid = a.attrelid and a.attnum > 0 and not a.attisdropped
where
    c.relnamespace = to_regnamespace(%(schema)s)
    and c.relkind in ('r', 'v', 'm', 'f', 'p')
    and has_schema_privilege(c.relnamespace, 'usage')
    and has_column_privilege(c.oid, a.attnum, 'select')
