-- A gateway that rested takes messages again. Parameter: gateway_id.
update crm.gateway
set failures = 0, slowed_until = null, slow_reason = null
where id = %(gateway_id)s and failures > 0 and coalesce(slowed_until, '-infinity') <= clock_timestamp()
