-- Gateways with their send windows: the one of a code, active or not, or all active ones by code.
-- Parameter: code (null = the active ones).
select
    gateway.id,
    gateway.code,
    gateway.name,
    gateway.kind,
    gateway.connection_id,
    gateway.settings,
    gateway.active,
    gateway.timezone,
    gateway.max_in_flight,
    gateway.dispatchers,
    gateway.rate,
    gateway.burst,
    gateway.daily_quota,
    gateway.max_attempts,
    gateway.backoff_seconds,
    gateway.backoff_most_seconds,
    gateway.hold_seconds,
    gateway.call_timeout_seconds,
    gateway.payload_limit,
    gateway.paused_at,
    gateway.paused_by,
    gateway.pause_reason,
    coalesce(
        (
            select
                jsonb_agg(
                    jsonb_build_object(
                        'day', send_window.day,
                        'opens_at', send_window.opens_at,
                        'closes_at', send_window.closes_at
                    )
                )
            from crm.send_window as send_window
            where send_window.gateway_id = gateway.id
        ),
        '[]'
    ) as windows
from crm.gateway as gateway
where gateway.code = %(code)s or (%(code)s::text is null and gateway.active)
order by gateway.code
