-- Adhesion terms of health plans: one for every fifth customer, begun on some day of the year before the
-- business date. A third of them end after some months; one in fifty is void. Parameter: business_date.
insert into erp.health_plan_adhesion (
    adhesion_id, customer_id, plan_name, starts_on, ends_on, cancelled_at, updated_at
)
select
    customer_id as adhesion_id,
    customer_id,
    (array['Essencial', 'Família', 'Empresarial'])[mod(customer_id, 3) + 1] as plan_name,
    starts_on,
    case when mod(customer_id, 3) = 0 then starts_on + 30 + mod(customer_id, 240)::integer end as ends_on,
    case when mod(customer_id, 250) = 7 then starts_on + time '20:00' end as cancelled_at,
    starts_on + case when mod(customer_id, 250) = 7 then time '20:00' else time '10:00' end as updated_at
from (
    select
        customer_id,
        greatest(%(business_date)s::date - mod(customer_id * 61, 365)::integer, created_at::date) as starts_on
    from erp.customer
    where mod(customer_id, 5) = 2
) as customer
