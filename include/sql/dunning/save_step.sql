-- Insert a step of the dunning schedule, or change the one of that name; returns it, or nothing
-- when there is no such template.
-- Parameters: name, days, template_id, priority, next_business_day, valid_days, active.
insert into crm.dunning_step (name, days, template_id, priority, next_business_day, valid_days, active)
select
    %(name)s,
    %(days)s,
    template.id,
    %(priority)s,
    %(next_business_day)s,
    %(valid_days)s,
    %(active)s
from crm.message_template as template
where template.id = %(template_id)s
on conflict (name) do update
    set
        days = excluded.days,
        template_id = excluded.template_id,
        priority = excluded.priority,
        next_business_day = excluded.next_business_day,
        valid_days = excluded.valid_days,
        active = excluded.active
returning id, name, days, template_id, priority, next_business_day, valid_days, active
