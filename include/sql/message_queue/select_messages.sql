-- Note the messages that an operator means and whose status allows the action, unless they are only to be
-- counted. What is null is not asked for; with most only so many of the lowest numbers. Without at_rest only
-- messages that have not come to rest well are looked at, each status by the index it has. Parameters: ids,
-- gateway_id, origin, statuses, template_ids, priority, created_from, created_to, recipient, customer_id,
-- account_id, reason, error, above, most, at_rest, allowed, refuse_expired, dry_run.
with matched as (
    select
        id,
        gateway_id,
        priority,
        status,
        coalesce(%(refuse_expired)s and expires_at <= clock_timestamp(), false) as expired
    from crm.message
    where
        (%(ids)s::bigint[] is null or id = any(%(ids)s::bigint[]))
        and (%(gateway_id)s::bigint is null or gateway_id = %(gateway_id)s::bigint)
        and (%(origin)s::text is null or origin = %(origin)s)
        and (%(statuses)s::text[] is null or status = any(%(statuses)s::text[]))
        and (%(template_ids)s::bigint[] is null or template_id = any(%(template_ids)s::bigint[]))
        and (%(priority)s::bigint is null or priority = %(priority)s::bigint)
        and (%(created_from)s::timestamptz is null or created_at >= %(created_from)s::timestamptz)
        and (%(created_to)s::timestamptz is null or created_at < %(created_to)s::timestamptz)
        and (%(recipient)s::text is null or recipient = %(recipient)s)
        and (%(customer_id)s::bigint is null or customer_id = %(customer_id)s::bigint)
        and (%(account_id)s::bigint is null or account_id = %(account_id)s::bigint)
        and (%(reason)s::text is null or reason = %(reason)s)
        and (%(error)s::text is null or strpos(lower(error), lower(%(error)s)) > 0)
        and (%(above)s::bigint is null or id > %(above)s::bigint)
        and (
            %(at_rest)s
            or (status = 'waiting' and ready)
            or (status in ('waiting', 'held') and not ready)
            or status = 'sending'
            or status = 'unknown'
            or status = 'failed'
        )
    order by id
    limit %(most)s
),

kept as (
    insert into selected_message (id, gateway_id, priority)
    select
        id,
        gateway_id,
        priority
    from matched
    where status = any(%(allowed)s::text[]) and not %(dry_run)s
)

select
    count(*) as matched,
    count(*) filter (where status = any(%(allowed)s::text[])) as allowed,
    count(*) filter (where status = any(%(allowed)s::text[]) and expired) as expired,
    max(id) as last
from matched
