-- Messages that may be sent now, each about a receivable, as a producer writes them. Parameters: gateway_id,
-- payload, address (a format of a text of eight digits), number.
insert into crm.message (
    gateway_id, dedupe_key, origin, origin_key, customer_id, receivable_id, due_on, recipient, payload,
    expires_at
)
select
    %(gateway_id)s,
    'bench:' || gen_random_uuid(),
    'billing_messages',
    n::text,
    n,
    n,
    date '2026-11-20',
    format(%(address)s, lpad(n::text, 8, '0')),
    %(payload)s,
    now() + interval '1 day'
from generate_series(1, %(number)s) as n
