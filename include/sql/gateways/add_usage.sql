-- A full token bucket for a gateway that has none: its burst, or one second's worth. Parameter: gateway_id.
insert into crm.gateway_usage (gateway_id, tokens)
select
    id as gateway_id,
    coalesce(burst, greatest(rate, 1)) as tokens
from crm.gateway
where id = %(gateway_id)s
on conflict do nothing
