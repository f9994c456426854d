-- The names of some accounts. Parameters: ids.
select id, name from crm.account where id = any(%(ids)s::bigint[])
