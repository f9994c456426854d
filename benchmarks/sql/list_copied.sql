-- All rows of the copied table. No parameters.
select * from crm.copied
