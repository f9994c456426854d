-- What the daily file batch is to be watched by; no row when it is not set up or switched off. No parameters.
select
    first_business_date,
    due_at,
    connection_id,
    acknowledge_within_hours,
    updated_at
from crm.daily_file_setting
where active
