-- Sent messages that the gateway is to be asked about. Parameters: gateway_id, most.
select
    id,
    gateway_message_id
from crm.message
where
    gateway_id = %(gateway_id)s
    and poll_after is not null
    and poll_after <= clock_timestamp()
    and gateway_message_id is not null
order by poll_after
limit %(most)s
