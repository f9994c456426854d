-- The newest messages of a gateway whose outcome is unknown. Parameters: gateway_id, most.
select
    id,
    tries as number,
    lease_token as token,
    recipient,
    payload,
    dedupe_key,
    gateway_message_id
from crm.message
where status = 'unknown' and gateway_id = %(gateway_id)s and lease_token is not null
order by id desc
limit %(most)s
