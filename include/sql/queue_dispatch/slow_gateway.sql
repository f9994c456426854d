-- Let a gateway rest: it asked for it, or could not be reached. One volley of failures counts once.
-- Parameters: gateway_id, delay (seconds), reason.
update crm.gateway
set
    failures = failures + (coalesce(slowed_until, '-infinity') <= clock_timestamp())::int,
    slowed_until = greatest(slowed_until, clock_timestamp() + make_interval(secs => %(delay)s)),
    slow_reason = %(reason)s
where id = %(gateway_id)s
