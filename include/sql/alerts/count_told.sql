-- How many open alerts the team was told of, or may have been. No parameters.
select count(*)
from crm.alert
where ended_at is null and mail_status <> 'pending'
