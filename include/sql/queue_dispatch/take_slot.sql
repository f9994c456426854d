-- Take one of the places that a gateway has for dispatchers, until the session ends; false when it is taken.
-- Parameters: gateway_id, slot.
select
    pg_try_advisory_lock(
        hashtext('rotina.dispatch'), (%(gateway_id)s::bigint * 64 + %(slot)s::bigint)::int
    ) as taken
