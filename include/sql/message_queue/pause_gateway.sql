-- Pause a gateway, unless it is paused; dispatchers notice within a second. Parameters: gateway_id, reason,
-- login.
update crm.gateway
set paused_at = clock_timestamp(), paused_by = %(login)s, pause_reason = %(reason)s
where id = %(gateway_id)s and paused_at is null
