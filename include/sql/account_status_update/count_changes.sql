-- How many accounts there are, and how many change to each status. No parameters.
select
    (select count(*) from crm.account) as accounts,
    count(*) filter (where to_status = 'active') as to_active,
    count(*) filter (where to_status = 'inactive') as to_inactive,
    count(*) filter (where to_status = 'not_integrated') as to_not_integrated
from change
