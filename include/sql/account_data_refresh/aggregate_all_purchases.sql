-- The purchases of all customers, as of the business date, in two halves: two processes can each sort and
-- aggregate one, where of a whole they share the sort alone. A view: the comparison reads it as it is
-- computed. Parameter: business_date.
create temp view purchase_half as
select
    -- Even halves also where the ERP gives out every second or tenth key.
    mod(customer_id, 97) & 1 as half,
    customer_id,
    max(issued_on) as last_purchase_date,
    min(issued_on) as first_purchase_date,
    (array_agg(value order by issued_on, invoice_id))[count(*)] as last_purchase_value,
    (array_agg(value order by issued_on, invoice_id))[1] as first_purchase_value,
    sum(value) as accumulated_value,
    count(*) as purchase_count,
    (array_agg(code order by issued_on, invoice_id))[count(*)] as last_invoice_code,
    not coalesce(0 <= all(array_agg(value order by issued_on, invoice_id)), false) as invalid
from erp.invoice
where
    cancelled_at is null
    and issued_on <= %(business_date)s
    and customer_id is not null
group by mod(customer_id, 97) & 1, customer_id
