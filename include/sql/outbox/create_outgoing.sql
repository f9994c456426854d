-- The table that a producer fills with the messages that it wants; gone at the end of the transaction.
-- A row is one message to one recipient. No parameters.
create temp table outgoing (
    -- What it is about, as crm.run_item names it: each of a run is another one. And how people know it.
    record_kind text not null,
    record_id text not null,
    record_name text,
    dedupe_key text not null,
    origin_key text not null,
    -- The template and what fills its places, or the gateway and what it is to send, with its length as JSON:
    -- the producer knows it, and here the payload would have to be unpacked to learn it.
    template_id bigint,
    variables text[],
    gateway_id bigint,
    payload jsonb,
    payload_bytes bigint,
    recipient text,
    recipient_name text,
    account_id bigint,
    customer_id bigint,
    receivable_id bigint,
    -- The due date that the message speaks of.
    due_on date,
    priority bigint not null default 5,
    -- Empty: at once.
    send_after timestamptz,
    expires_at timestamptz,
    -- Why the producer itself wants no message to be written: skipped or failed, reason, detail. Of a message
    -- that was written before only the reason written_not_sent counts; any other leaves it unchanged.
    outcome text check (outcome in ('skipped', 'failed')),
    reason text,
    detail text,
    check ((outcome is null) = (reason is null)),
    check (num_nulls(template_id, variables) in (0, 2)),
    check (num_nulls(gateway_id, payload, payload_bytes) in (0, 3)),
    check (num_nulls(template_id, gateway_id) = 1)
) on commit drop
