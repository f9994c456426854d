-- The categories of the products of the orders that are not left out. Parameters: business_date,
-- left_out_orders.
select
    o.order_id,
    o.code as order_number,
    i.line_number,
    i.sku,
    c.level,
    c.category_code,
    c.category_name
from erp.sales_order as o
inner join erp.sales_order_item as i on o.order_id = i.order_id
inner join erp.product_category as c on i.sku = c.sku
where
    o.ordered_on = %(business_date)s
    and o.order_id <> all(%(left_out_orders)s::bigint[])
