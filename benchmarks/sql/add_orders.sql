-- Customers, and orders of a day and a tenth of them of the day before, with one or two items, two categories per
-- product and a payment. Parameters: orders (of the day), business_date.
insert into erp.customer (customer_id, kind, name, email, phone, birth_on, created_at, updated_at)
select
    n as customer_id,
    case when n %% 7 = 0 then 'company' else 'person' end as kind,
    'Maria Conceição da Silva ' || n as name,
    case when n %% 50 <> 0 then 'maria.silva' || n || '@example.com' end as email,
    '+55119' || lpad(n::text, 8, '0') as phone,
    date '1990-01-01' + (n %% 9000)::int as birth_on,
    timestamptz '2020-01-01 12:00-03' + n * interval '1 second' as created_at,
    now() as updated_at
from generate_series(1::bigint, %(orders)s / 2) as n;
insert into erp.sales_order (
    order_id,
    code,
    customer_id,
    ordered_on,
    store_code,
    status,
    items_value,
    discount_value,
    shipping_value,
    total_value,
    updated_at,
    channel
)
select
    n as order_id,
    (100000000 + n)::text as code,
    1 + n * 7919 %% (%(orders)s / 2) as customer_id,
    %(business_date)s::date - (n %% 10 = 0)::int as ordered_on,
    'SP' || n %% 40 as store_code,
    case n %% 30 when 0 then 'cancelled' else 'open' end as status,
    100 + n %% 900 as items_value,
    n %% 10 as discount_value,
    9.90 as shipping_value,
    120 + n %% 900 as total_value,
    now() as updated_at,
    case n %% 3 when 0 then 'site' else 'store' end as channel
from generate_series(1::bigint, %(orders)s * 10 / 9) as n;
insert into erp.sales_order_item (order_id, line_number, sku, product_name, quantity, unit_value)
select
    n as order_id,
    line as line_number,
    (1000 + (n * 31 + line) %% 20000)::text as sku,
    'Cafeteira elétrica ' || (n * 31 + line) %% 20000 || case when n %% 1000 = 0 then ' 12"' else '' end
        as product_name,
    1 + n %% 3 as quantity,
    49.90 as unit_value
from generate_series(1::bigint, %(orders)s * 10 / 9) as n
cross join generate_series(1, 2) as line
where line = 1 or n %% 2 = 0;
insert into erp.product_category (sku, level, category_code, category_name)
select
    (1000 + product)::text as sku,
    level,
    'C' || product %% 100 * level as category_code,
    'Eletrodomésticos e utilidades ' || product %% 100 * level as category_name
from generate_series(0, 19999) as product
cross join generate_series(1, 2) as level;
insert into erp.payment (payment_id, order_id, method, installments, value, updated_at)
select
    n as payment_id,
    n as order_id,
    case n %% 3 when 0 then 'pix' else 'credit_card' end as method,
    1 + n %% 10 as installments,
    120 + n %% 900 as value,
    now() as updated_at
from generate_series(1::bigint, %(orders)s * 10 / 9) as n;
insert into erp.load_watermark (source, loaded_on, row_count, loaded_at)
select
    source,
    %(business_date)s::date + day as loaded_on,
    0 as row_count,
    now() as loaded_at
from (values ('sales_order'), ('customer')) as one (source)
cross join generate_series(0, 100) as day;
