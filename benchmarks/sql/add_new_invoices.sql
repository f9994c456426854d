-- New invoices of a day, by customers who bought before (the frequent ones more often), spread over the day.
-- Parameters: day (date), midnight (instant at which it begins), number.
insert into erp.invoice (invoice_id, code, customer_id, issued_on, value, updated_at)
select
    greatest_id + number,
    100000000 + greatest_id + number,
    customer_id,
    %(day)s,
    value,
    %(midnight)s + interval '24 hours' * number / %(number)s
from (
    select
        customer_id,
        value,
        row_number() over (order by hashint8extended(invoice_id, extract(day from %(day)s::date)::bigint)) as number
    from erp.invoice
    where invoice_id %% 1000 = extract(day from %(day)s::date) and customer_id is not null and value >= 0
) as earlier
cross join (select max(invoice_id) as greatest_id from erp.invoice) as present
where number <= %(number)s
