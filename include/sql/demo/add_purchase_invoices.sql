-- An invoice per line that is new, numbered in the order of the purchases. They change now, whatever the date
-- of the purchase: that is how a refresh finds them. Parameter: first_id.
insert into erp.invoice (invoice_id, code, customer_id, issued_on, value, updated_at)
select
    coalesce((select max(invoice_id) from erp.invoice where invoice_id > %(first_id)s), %(first_id)s)
    + row_number() over (order by line.purchased_on, line.line_number) as invoice_id,
    line.code,
    line.customer_id,
    line.purchased_on,
    line.value,
    now() as updated_at
from purchase_line as line
where
    not exists (
        select from erp.invoice as invoice
        where invoice.code = line.code and invoice.invoice_id > %(first_id)s
    )
