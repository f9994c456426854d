-- The active steps of the dunning schedule. No parameters.
select
    id,
    name,
    days,
    template_id,
    next_business_day
from crm.dunning_step
where active
order by days, id
