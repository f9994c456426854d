-- Keep what a gateway told of its messages: of each kind of event the first that happened, however often and
-- in whatever order it is told. An event that turns out to have happened earlier is to be applied anew.
-- Parameters: gateway_id, gateway_message_ids, message_ids, dedupe_keys, attempts, statuses, errors,
-- occurred_at.
with told as (
    select
        t.gateway_message_id,
        t.status,
        coalesce(t.message_id, k.message_id) as message_id,
        t.attempt,
        t.error,
        t.occurred_at
    from
        unnest(
            %(gateway_message_ids)s::text[],
            %(message_ids)s::bigint[],
            %(dedupe_keys)s::text[],
            %(attempts)s::bigint[],
            %(statuses)s::text[],
            %(errors)s::text[],
            %(occurred_at)s::timestamptz[]
        ) as t (gateway_message_id, message_id, dedupe_key, attempt, status, error, occurred_at)
    left join crm.message_key as k on t.dedupe_key = k.dedupe_key
),

first as (
    select
        gateway_message_id,
        status,
        max(message_id) as message_id,
        max(attempt) as attempt,
        (array_agg(error order by occurred_at, error))[1] as error,
        min(occurred_at) as occurred_at
    from told
    group by gateway_message_id, status
),

kept as (
    insert into crm.delivery_event as e (
        gateway_id, gateway_message_id, message_id, attempt, status, error, occurred_at
    )
    select
        %(gateway_id)s,
        gateway_message_id,
        message_id,
        attempt,
        status,
        error,
        occurred_at
    from first
    order by gateway_message_id, status
    on conflict (gateway_id, gateway_message_id, status) do update
        set
            message_id = coalesce(e.message_id, excluded.message_id),
            attempt = coalesce(e.attempt, excluded.attempt),
            error = case when excluded.occurred_at < e.occurred_at then excluded.error else e.error end,
            occurred_at = least(excluded.occurred_at, e.occurred_at),
            applied_at = null
        where
        excluded.occurred_at < e.occurred_at
        or (e.message_id is null and excluded.message_id is not null)
        or (e.attempt is null and excluded.attempt is not null)
    returning e.id, (xmax = 0) as new
)

select
    coalesce(array_agg(id), '{}') as ids,
    count(*) filter (where new) as new
from kept
