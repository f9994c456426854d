-- Customers with invoices that cannot be counted: without a value, with a negative one, or without a date;
-- with the first such invoice. Parameter: business_date.
create temp table invalid_invoice on commit drop as
select
    customer_id,
    count(*) as invoices,
    (array_agg(code order by invoice_id))[1] as code,
    (array_agg(
        case
            when issued_on is null then 'sem data'
            when value is null then 'sem valor'
            else 'valor negativo'
        end
        order by invoice_id
    ))[1] as problem
from erp.invoice
where
    cancelled_at is null
    and (
        (
            customer_id = any(array(select customer_id from purchase where invalid))
            and issued_on <= %(business_date)s
            and (value is null or value < 0)
        )
        or (issued_on is null and customer_id is not null)
    )
group by customer_id
