-- Move the selected messages into the archive. No parameters.
with gone as (
    delete from crm.message as m
    using archived as a
    where m.id = a.id
    returning m.*
)

insert into crm.message_archive (
    id, gateway_id, template_id, dedupe_key, origin, origin_key, account_id, customer_id, receivable_id,
    due_on, recipient, recipient_name, payload, priority, position, status, ready, send_after, expires_at,
    created_at, run_id, tries, attempts, lease_token, lease_until, reason, error, gateway_message_id, sent_at,
    ended_at, delivery_status, delivered_at, read_at, delivery_error, poll_after
)
select
    id, gateway_id, template_id, dedupe_key, origin, origin_key, account_id, customer_id, receivable_id,
    due_on, recipient, recipient_name, payload, priority, position, status, ready, send_after, expires_at,
    created_at, run_id, tries, attempts, lease_token, lease_until, reason, error, gateway_message_id, sent_at,
    ended_at, delivery_status, delivered_at, read_at, delivery_error, poll_after
from gone
