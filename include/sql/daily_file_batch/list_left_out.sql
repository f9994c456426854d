-- The keys of the orders and of the customers that are left out. No parameters.
select
    coalesce(array_agg(record_id) filter (where record_kind = 'order'), '{}') as orders,
    coalesce(array_agg(record_id) filter (where record_kind = 'customer'), '{}') as customers
from left_out
