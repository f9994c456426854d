-- Per customer: what its invoices up to the business date add up to. Cancelled ones do not count. `invalid`:
-- some invoice has no value or a negative one. Parameters: all_customers, newer_than, business_date.
create temp table purchase on commit drop as
select
    customer_id,
    max(issued_on) as last_purchase_date,
    min(issued_on) as first_purchase_date,
    (array_agg(value order by issued_on, invoice_id))[count(*)] as last_purchase_value,
    (array_agg(value order by issued_on, invoice_id))[1] as first_purchase_value,
    sum(value) as accumulated_value,
    count(*) as purchase_count,
    (array_agg(code order by issued_on, invoice_id))[count(*)] as last_invoice_code,
    count(value) < count(*) or min(value) < 0 as invalid
from erp.invoice
where
    cancelled_at is null
    and issued_on <= %(business_date)s
    and %(newer_than)s::date is null
    and (%(all_customers)s or customer_id = any(array(select customer_id from selection)))
group by customer_id
