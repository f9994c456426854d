-- Messages that were sent in the last months, each with its attempt. Parameters: gateway_id, payload, number.
with sent as (
    insert into crm.message (
        gateway_id, dedupe_key, origin, origin_key, customer_id, receivable_id, recipient, payload, status,
        expires_at, created_at, tries, lease_token, reason, gateway_message_id, sent_at, ended_at,
        delivery_status, delivered_at
    )
    select
        %(gateway_id)s,
        'sent:' || n,
        'billing_messages',
        n::text,
        mod(n, 500000),
        n,
        '+55119' || lpad((mod(n, 500000))::text, 8, '0'),
        %(payload)s,
        'sent',
        at + interval '1 day',
        at,
        1,
        n,
        'accepted',
        to_hex(1672531200 + n) || lpad(to_hex(n), 16, '0'),
        at,
        at,
        'delivered',
        at
    from
        generate_series(1, %(number)s) as n,
        lateral (select now() - interval '180 days' * (1 - n / %(number)s::float)) as t (at)
    returning id, lease_token, sent_at
)

insert into crm.message_attempt (message_id, number, token, started_at, ended_at, outcome, code)
select
    id,
    1,
    lease_token,
    sent_at,
    sent_at,
    'accepted',
    200
from sent
