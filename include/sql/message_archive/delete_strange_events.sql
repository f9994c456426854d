-- Delete old events whose message is not in the queue, or was never found: gateways tell of messages that
-- others sent, too. Parameter: received_before.
delete from crm.delivery_event as e
where
    e.received_at < %(received_before)s::timestamptz
    and (
        e.applied_at is null
        or (
            not exists (
                select from crm.message as m
                where m.gateway_id = e.gateway_id and m.gateway_message_id = e.gateway_message_id
            )
            and not exists (
                select from crm.message as m where m.id = e.message_id and m.gateway_id = e.gateway_id
            )
        )
    )
