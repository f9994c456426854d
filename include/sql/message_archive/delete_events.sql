-- Delete what gateways told of the selected messages, which say it themselves. No parameters.
delete from crm.delivery_event as e
using archived as a
where
    a.gateway_message_id is not null
    and e.gateway_id = a.gateway_id
    and e.gateway_message_id = a.gateway_message_id
