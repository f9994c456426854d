-- Whether there is more to archive than one run takes. Parameter: ended_before.
select coalesce(
    (
        select true from crm.message
        where
            created_at < %(ended_before)s::timestamptz
            and ended_at < %(ended_before)s::timestamptz
            and status in ('sent', 'failed', 'cancelled', 'expired')
        order by created_at
        limit 1
    ),
    false
) as is_more_left
