-- Which share of all accounts is selected, from 0 to 1. No parameters.
select (select count(*) from selection)::float / greatest((select count(*) from crm.account), 1)
