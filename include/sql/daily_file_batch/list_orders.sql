-- The orders of the business date that are not left out, with the number of their items and the payment of
-- the largest part. Parameters: business_date, left_out_orders.
with item as (
    select
        i.order_id,
        sum(i.quantity) as total_items,
        count(*) as total_products
    from erp.sales_order_item as i
    inner join erp.sales_order as s on i.order_id = s.order_id
    where s.ordered_on = %(business_date)s
    group by i.order_id
),

largest_payment as (
    select distinct on (p.order_id)
        p.order_id,
        p.method,
        p.installments
    from erp.payment as p
    inner join erp.sales_order as s on p.order_id = s.order_id
    where s.ordered_on = %(business_date)s
    order by p.order_id asc, p.value desc, p.payment_id asc
)

select
    o.order_id,
    o.code as order_number,
    o.store_code,
    o.customer_id::text as user_id,
    o.ordered_on,
    item.total_items,
    item.total_products,
    o.total_value,
    o.items_value,
    o.discount_value,
    o.shipping_value,
    o.status,
    o.channel,
    payment.method as payment_method,
    payment.installments
from erp.sales_order as o
left join item on o.order_id = item.order_id
left join largest_payment as payment on o.order_id = payment.order_id
where
    o.ordered_on = %(business_date)s
    and o.order_id <> all(%(left_out_orders)s::bigint[])
