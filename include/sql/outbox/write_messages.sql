-- Write the messages that can be written. A key that another transaction wrote meanwhile is left to that one;
-- keys are taken in their order, so that two producers never wait for each other.
-- Parameters: origin, run_id, now.
with taken as (
    insert into crm.message_key (dedupe_key, message_id)
    select
        dedupe_key,
        message_id
    from checked
    where outcome is null
    order by dedupe_key
    on conflict (dedupe_key) do nothing
    returning message_id
)

insert into crm.message (
    id,
    gateway_id,
    template_id,
    dedupe_key,
    origin,
    origin_key,
    account_id,
    customer_id,
    receivable_id,
    due_on,
    recipient,
    recipient_name,
    payload,
    priority,
    ready,
    send_after,
    expires_at,
    run_id
)
select
    c.message_id,
    c.gateway_id,
    c.template_id,
    c.dedupe_key,
    %(origin)s,
    c.origin_key,
    c.account_id,
    c.customer_id,
    c.receivable_id,
    c.due_on,
    c.recipient,
    c.recipient_name,
    -- One that the producer gave was not carried along.
    coalesce(c.payload, (select o.payload from outgoing as o where o.ctid = c.place)),
    c.priority,
    c.send_after <= coalesce(%(now)s, now()),
    c.send_after,
    c.expires_at,
    %(run_id)s
from checked as c
inner join taken as t on c.message_id = t.message_id
