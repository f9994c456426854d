-- Let a gateway that is paused or resting send at once. Parameter: gateway_id.
update crm.gateway
set
    paused_at = null,
    paused_by = null,
    pause_reason = null,
    slowed_until = null,
    slow_reason = null,
    failures = 0,
    order_version = order_version + 1
where id = %(gateway_id)s and (paused_at is not null or slowed_until is not null or failures > 0)
