-- Insert a gateway, or change the one of that code; returns its id.
-- Parameters: code, name, kind, connection_id, settings, active, timezone, max_in_flight, dispatchers, rate,
-- burst, daily_quota, max_attempts, backoff_seconds, backoff_most_seconds, hold_seconds,
-- call_timeout_seconds, payload_limit.
insert into crm.gateway (
    code,
    name,
    kind,
    connection_id,
    settings,
    active,
    timezone,
    max_in_flight,
    dispatchers,
    rate,
    burst,
    daily_quota,
    max_attempts,
    backoff_seconds,
    backoff_most_seconds,
    hold_seconds,
    call_timeout_seconds,
    payload_limit
)
values (
    %(code)s,
    %(name)s,
    %(kind)s,
    %(connection_id)s,
    %(settings)s,
    %(active)s,
    %(timezone)s,
    %(max_in_flight)s,
    %(dispatchers)s,
    %(rate)s,
    %(burst)s,
    %(daily_quota)s,
    %(max_attempts)s,
    %(backoff_seconds)s,
    %(backoff_most_seconds)s,
    %(hold_seconds)s,
    %(call_timeout_seconds)s,
    %(payload_limit)s
)
on conflict (code) do update
    set
        name = excluded.name,
        kind = excluded.kind,
        connection_id = excluded.connection_id,
        settings = excluded.settings,
        active = excluded.active,
        timezone = excluded.timezone,
        max_in_flight = excluded.max_in_flight,
        dispatchers = excluded.dispatchers,
        rate = excluded.rate,
        burst = excluded.burst,
        daily_quota = excluded.daily_quota,
        max_attempts = excluded.max_attempts,
        backoff_seconds = excluded.backoff_seconds,
        backoff_most_seconds = excluded.backoff_most_seconds,
        hold_seconds = excluded.hold_seconds,
        call_timeout_seconds = excluded.call_timeout_seconds,
        payload_limit = excluded.payload_limit
returning id
