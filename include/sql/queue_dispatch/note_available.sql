-- What a gateway says may still be sent today, less what is under way. Parameters: gateway_id, available.
update crm.gateway_usage as u
set
    available = greatest(
        0,
        %(available)s::bigint
        - (select count(*) from crm.message as m where m.status = 'sending' and m.gateway_id = %(gateway_id)s)
    ),
    available_on = (clock_timestamp() at time zone g.timezone)::date
from crm.gateway as g
where u.gateway_id = %(gateway_id)s and g.id = u.gateway_id
