-- Which share of all accounts is selected, from 0 to 1. The greatest key stands for their number, which would
-- take long to count. No parameters.
select (select count(*) from selection)::float / greatest((select max(id) from crm.account), 1)
