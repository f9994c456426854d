-- Whether a gateway has a message that may go now. Parameter: gateway_id.
select exists(
    select from crm.message
    where
        gateway_id = %(gateway_id)s
        and status = 'waiting'
        and ready
        and (expires_at is null or expires_at > clock_timestamp())
) as waiting
