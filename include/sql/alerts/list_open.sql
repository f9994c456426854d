-- The alerts of problems that were there when the monitor looked last. No parameters.
select
    id,
    problem,
    subject,
    raised_on,
    began_at
from crm.alert
where ended_at is null
order by id
