-- As many orders again as half of those there are, of the same customers and days. No parameters.
insert into erp.sales_order
select
    order_id + (select max(newest.order_id) from erp.sales_order as newest) as order_id,
    code,
    customer_id,
    ordered_on,
    store_code,
    status,
    items_value,
    discount_value,
    shipping_value,
    total_value,
    updated_at
from erp.sales_order
where mod(order_id, 2) = 0
