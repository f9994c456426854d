-- The messages to an account, by itself or as a customer of the ERP, newest first; archived ones too.
-- Parameters: account_id, customer_id, before (key of a message: only older ones; or NULL), most.
with own as (
    (
        select
            id,
            gateway_id,
            template_id,
            origin,
            recipient,
            payload,
            status,
            send_after,
            created_at,
            reason,
            error,
            sent_at,
            delivery_status,
            delivered_at,
            read_at,
            false as archived
        from crm.message
        where
            (account_id = %(account_id)s or customer_id = %(customer_id)s)
            and (%(before)s::bigint is null or id < %(before)s)
        order by id desc
        limit %(most)s
    )
    union all
    (
        select
            id,
            gateway_id,
            template_id,
            origin,
            recipient,
            payload,
            status,
            send_after,
            created_at,
            reason,
            error,
            sent_at,
            delivery_status,
            delivered_at,
            read_at,
            true
        from crm.message_archive
        where
            (account_id = %(account_id)s or customer_id = %(customer_id)s)
            and (%(before)s::bigint is null or id < %(before)s)
        order by id desc
        limit %(most)s
    )
)

select
    o.*,
    g.code as gateway,
    case when g.kind = 'smtp' then 'email' else 'phone' end as channel,
    t.name as template,
    t.body
from own as o
left join crm.gateway as g on o.gateway_id = g.id
left join crm.message_template as t on o.template_id = t.id
order by o.id desc
limit %(most)s
