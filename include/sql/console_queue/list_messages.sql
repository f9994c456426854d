-- Messages as the grid shows them, of the queue and of the archive. Parameters: ids, archived_ids,
-- archived_created_at (which tells the months to look into).
with found as (
    select
        id,
        status,
        reason,
        error,
        gateway_id,
        template_id,
        recipient,
        recipient_name,
        account_id,
        customer_id,
        payload ->> 'subject' as subject,
        payload -> 'variables' as variables,
        origin,
        priority,
        position,
        ready,
        created_at,
        send_after,
        expires_at,
        tries,
        delivery_status,
        null::timestamptz as archived_at
    from crm.message
    where id = any(%(ids)s::bigint[])
    union all
    select
        id,
        status,
        reason,
        error,
        gateway_id,
        template_id,
        recipient,
        recipient_name,
        account_id,
        customer_id,
        payload ->> 'subject' as subject,
        payload -> 'variables' as variables,
        origin,
        priority,
        position,
        ready,
        created_at,
        send_after,
        expires_at,
        tries,
        delivery_status,
        archived_at
    from crm.message_archive
    where
        id = any(%(archived_ids)s::bigint[])
        and created_at = any(%(archived_created_at)s::timestamptz[])
)

select
    f.*,
    g.code as gateway,
    t.name as template
from found as f
left join crm.gateway as g on f.gateway_id = g.id
left join crm.message_template as t on f.template_id = t.id
