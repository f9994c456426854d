-- What a gateway says may still be sent today, less what is under way and what was claimed since it was
-- asked.
-- Parameters: gateway_id, available, used_before (claimed today before it was asked).
update crm.gateway_usage as u
set
    available = greatest(
        0,
        %(available)s::bigint
        - case
            when u.used_on = (clock_timestamp() at time zone g.timezone)::date
                then greatest(0, u.used - %(used_before)s::bigint)
            else 0
        end
        - (select count(*) from crm.message as m where m.status = 'sending' and m.gateway_id = %(gateway_id)s)
    ),
    available_on = (clock_timestamp() at time zone g.timezone)::date
from crm.gateway as g
where u.gateway_id = %(gateway_id)s and g.id = u.gateway_id
