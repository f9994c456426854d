-- The partner of the daily file batch expects files from the day before the business date on.
-- Parameter: business_date.
insert into crm.daily_file_setting (instance_id, first_business_date, updated_by)
values ('DEMO', %(business_date)s::date - 1, 'demo')
on conflict do nothing
