-- The templates of a code, of one gateway or (null) of all. Parameters: code, gateway_id.
select array_agg(id) as ids
from crm.message_template
where code = %(code)s and (%(gateway_id)s::bigint is null or gateway_id = %(gateway_id)s::bigint)
