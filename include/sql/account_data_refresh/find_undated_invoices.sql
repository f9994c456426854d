-- Customers with an invoice that has no (finite) date. No parameters.
create temp table undated_customer on commit drop as
select distinct customer_id from erp.invoice
where (issued_on is null or issued_on = '-infinity') and cancelled_at is null and customer_id is not null
