-- The step of a name. Parameter: name.
select
    id,
    name,
    days,
    template_id,
    priority,
    next_business_day,
    valid_days,
    active
from crm.dunning_step
where name = %(name)s
