-- Put back what a claim took whose reply was lost with the connection: none of it was tried.
-- Parameters: gateway_id, token.
with returned as (
    update crm.message
    set status = 'waiting', ready = true, reason = 'not_tried', lease_until = null
    where
        status = 'sending'
        and lease_until is not null
        and gateway_id = %(gateway_id)s
        and lease_token = %(token)s
    returning id, tries
)

update crm.message_attempt as a
set ended_at = clock_timestamp(), outcome = 'not_tried'
from returned as r
where a.message_id = r.id and a.number = r.tries and a.token = %(token)s
