-- What the company decided about its daily file batch; no row before it did. No parameters.
select
    instance_id,
    first_business_date,
    due_at,
    connection_id,
    acknowledge_within_hours,
    active
from crm.daily_file_setting
