-- Write down what became of attempts, where nobody else took the message over meanwhile. An outcome that
-- comes after the message was given up as unknown still counts. Parameters: message_ids, numbers, tokens,
-- outcomes, codes, errors, gateway_message_ids, delays (seconds until the next attempt; null: none),
-- max_attempts, channel, poll_seconds (null: the gateway cannot be asked for deliveries), gateway_id.
with result as (
    select *
    from
        unnest(
            %(message_ids)s::bigint[],
            %(numbers)s::bigint[],
            %(tokens)s::bigint[],
            %(outcomes)s::text[],
            %(codes)s::bigint[],
            %(errors)s::text[],
            %(gateway_message_ids)s::text[],
            %(delays)s::float[]
        ) as r (message_id, number, token, outcome, code, error, gateway_message_id, delay)
),

closed as (
    update crm.message_attempt as a
    set ended_at = statement_timestamp(), outcome = r.outcome, code = r.code, error = r.error
    from result as r
    where a.message_id = r.message_id and a.number = r.number and a.token = r.token
),

done as (
    update crm.message as m
    set
        status = case
            when r.outcome = 'accepted' then 'sent'
            when r.outcome = 'maybe_sent' then 'unknown'
            when r.outcome in ('in_attendance', 'receivable_missing') then 'held'
            when r.outcome in ('settled', 'suppressed') then 'cancelled'
            when r.outcome in ('rejected', 'opted_out', 'no_such_address') then 'failed'
            when r.outcome = 'deferred' and m.attempts + 1 >= %(max_attempts)s then 'failed'
            else 'waiting'
        end,
        reason = r.outcome,
        error = r.error,
        attempts = m.attempts + (r.outcome in ('deferred', 'rejected', 'opted_out', 'no_such_address'))::int,
        ready = r.delay is null,
        send_after = case
            when r.delay is null then m.send_after
            else statement_timestamp() + make_interval(secs => r.delay)
        end,
        lease_until = null,
        gateway_message_id = coalesce(r.gateway_message_id, m.gateway_message_id),
        sent_at = case when r.outcome = 'accepted' then statement_timestamp() end,
        ended_at = case
            when
                r.outcome in ('accepted', 'settled', 'suppressed', 'rejected', 'opted_out', 'no_such_address')
                or (r.outcome = 'deferred' and m.attempts + 1 >= %(max_attempts)s)
                then statement_timestamp()
        end,
        poll_after = case
            when r.outcome = 'accepted' then statement_timestamp() + make_interval(secs => %(poll_seconds)s)
        end
    from result as r
    where
        m.id = r.message_id
        and (
            (m.lease_token = r.token and m.status in ('sending', 'unknown'))
            -- A person released it meanwhile, and it was not claimed again: what was sent is not sent anew.
            or (
                r.outcome = 'accepted'
                and m.status in ('waiting', 'held')
                and m.tries = r.number
                and (m.id, r.number, r.token) in (
                    select a.message_id, a.number, a.token from crm.message_attempt as a
                    where a.message_id = m.id
                )
            )
        )
    returning m.id, m.recipient, r.outcome
),

suppressed as (
    insert into crm.suppression (channel, address, reason, source)
    select distinct
        %(channel)s,
        lower(recipient),
        case outcome when 'no_such_address' then 'hard_bounce' else outcome end,
        'queue_dispatch'
    from done
    where outcome in ('opted_out', 'no_such_address')
    on conflict (channel, address) do nothing
),

-- What was not sent spends nothing of the day.
refunded as (
    update crm.gateway_usage as u
    set
        used = greatest(0, u.used - unspent.number),
        available = u.available + unspent.number
    from (
        select count(*) as number from done
        where
            outcome in (
                'settled', 'suppressed', 'receivable_missing', 'not_tried', 'transient', 'configuration'
            )
    ) as unspent
    where u.gateway_id = %(gateway_id)s and unspent.number > 0
)

select count(*) from done
