-- The items of the orders that are not left out. Parameters: business_date, left_out_orders.
select
    o.order_id,
    o.code as order_number,
    i.line_number,
    i.sku,
    i.product_name,
    i.quantity,
    i.unit_value,
    i.quantity * i.unit_value as total_value
from erp.sales_order as o
inner join erp.sales_order_item as i on o.order_id = i.order_id
where
    o.ordered_on = %(business_date)s
    and o.order_id <> all(%(left_out_orders)s::bigint[])
