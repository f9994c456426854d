-- The customers that are new, registered on the day of their first purchase. No parameters.
insert into erp.customer (customer_id, kind, name, created_at, updated_at)
select
    customer_id,
    'person' as kind,
    min(customer_name) as name,
    min(purchased_on)::timestamp at time zone 'America/Sao_Paulo' as created_at,
    now() as updated_at
from purchase_line
group by customer_id
on conflict do nothing
