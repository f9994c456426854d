-- Whether a gateway may send now, and how it fares. Parameter: gateway_id.
select
    g.active,
    g.pause_reason,
    g.failures,
    g.order_version,
    g.slow_reason,
    (
        g.rate is not null
        or g.daily_quota is not null
        or (u.available is not null and u.available_on = (clock_timestamp() at time zone g.timezone)::date)
    ) as limited,
    -- Until there are tokens for a tenth of a second, so that a claim is worth its while. After the clock was
    -- set back, a claim sets it right.
    case
        when u.filled_at <= clock_timestamp()
            then greatest(
                0,
                (
                    least(coalesce(g.burst, greatest(g.rate, 1)), greatest(g.rate / 10, 1))
                    - u.tokens
                    - g.rate * extract(epoch from clock_timestamp() - u.filled_at)::float
                ) / g.rate
            )
    end as token_seconds,
    case
        when u.used_on = (clock_timestamp() at time zone g.timezone)::date then u.used else 0
    end as used_today,
    greatest(0, extract(epoch from g.slowed_until - clock_timestamp()))::float as slowed_seconds,
    least(
        g.daily_quota
        - case when u.used_on = (clock_timestamp() at time zone g.timezone)::date then u.used else 0 end,
        case when u.available_on = (clock_timestamp() at time zone g.timezone)::date then u.available end
    ) as quota_left
from crm.gateway as g
inner join crm.gateway_usage as u on g.id = u.gateway_id
where g.id = %(gateway_id)s
