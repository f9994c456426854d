-- What is left of the selection: messages that may be changed now, those whose time is over (asked for with
-- refuse_expired), and those whose status does not allow it any more. Parameters: allowed, refuse_expired.
with now_as as (
    select
        coalesce(m.status = any(%(allowed)s::text[]), false) as allowed,
        coalesce(%(refuse_expired)s and m.expires_at <= clock_timestamp(), false) as expired
    from selected_message as s
    left join crm.message as m on s.id = m.id
)

select
    count(*) filter (where allowed and not expired) as eligible,
    count(*) filter (where allowed and expired) as expired,
    count(*) filter (where not allowed) as status
from now_as
