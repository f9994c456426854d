-- The purchases of the selected accounts, as of the business date. The invoices of some are all read again;
-- of the others only new ones, which are added to what is stored. The key of a new invoice is greater than
-- the keys of all that are counted, so of the purchases of a day it is the last. Parameters: business_date,
-- newer_than (all accounts have the data of this later date), counted_through_id.
create temp table purchase on commit drop as
with invoice as (
    select * from erp.invoice
    where customer_id = any(array(select customer_id from selection where purchases_anew))
    union all
    select * from erp.invoice
    where
        invoice_id > %(counted_through_id)s
        and customer_id in (select customer_id from selection where not purchases_anew)
),

counted as (
    select
        customer_id,
        max(issued_on) as last_purchase_date,
        min(issued_on) as first_purchase_date,
        (array_agg(value order by issued_on, invoice_id))[count(*)] as last_purchase_value,
        (array_agg(value order by issued_on, invoice_id))[1] as first_purchase_value,
        sum(value) as accumulated_value,
        count(*) as purchase_count,
        (array_agg(code order by issued_on, invoice_id))[count(*)] as last_invoice_code,
        not coalesce(0 <= all(array_agg(value order by issued_on, invoice_id)), false) as invalid
    from invoice
    where
        cancelled_at is null
        and issued_on <= %(business_date)s
        and %(newer_than)s::date is null
    group by customer_id
),

stored as (
    select * from selection
    where not purchases_anew
)

select
    coalesce(c.customer_id, s.customer_id) as customer_id,
    greatest(c.last_purchase_date, s.last_purchase_date) as last_purchase_date,
    least(c.first_purchase_date, s.first_purchase_date) as first_purchase_date,
    case
        when s.last_purchase_date > coalesce(c.last_purchase_date, '-infinity') then s.last_purchase_value
        else c.last_purchase_value
    end as last_purchase_value,
    case
        when s.first_purchase_date <= coalesce(c.first_purchase_date, 'infinity') then s.first_purchase_value
        else c.first_purchase_value
    end as first_purchase_value,
    coalesce(c.accumulated_value, 0) + coalesce(s.accumulated_value, 0) as accumulated_value,
    coalesce(c.purchase_count, 0) + coalesce(s.purchase_count, 0) as purchase_count,
    case
        when s.last_purchase_date > coalesce(c.last_purchase_date, '-infinity') then s.last_invoice_code
        else c.last_invoice_code
    end as last_invoice_code,
    c.invalid
from counted as c
full join stored as s on c.customer_id = s.customer_id
