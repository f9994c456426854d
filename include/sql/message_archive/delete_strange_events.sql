-- Delete events that no message was ever found for: gateways tell of messages that others sent, too.
-- Parameter: received_before.
delete from crm.delivery_event
where applied_at is null and received_at < %(received_before)s::timestamptz
