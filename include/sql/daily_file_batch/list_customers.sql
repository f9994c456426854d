-- The buyers of the orders that are not left out, and the customers registered on the business date.
-- Parameters: business_date, begins_at, ends_at (of that day), zone, left_out_orders, left_out_customers.
select
    c.customer_id,
    c.customer_id::text as user_id,
    btrim(c.email) as email,
    c.name,
    c.kind,
    c.phone,
    c.birth_on,
    (c.created_at at time zone %(zone)s)::date as registered_on
from erp.customer as c
where
    c.customer_id in (
        select o.customer_id
        from erp.sales_order as o
        where
            o.ordered_on = %(business_date)s
            and o.order_id <> all(%(left_out_orders)s::bigint[])
        union all
        select n.customer_id
        from erp.customer as n
        where
            n.created_at >= %(begins_at)s
            and n.created_at < %(ends_at)s
            and n.customer_id <> all(%(left_out_customers)s::bigint[])
    )
