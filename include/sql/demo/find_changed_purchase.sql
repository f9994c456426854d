-- The first line that is not what an earlier import found in its place, and the field that differs.
-- Parameter: first_id.
select
    line.line_number,
    case
        when invoice.customer_id <> line.customer_id then 'customer'
        when invoice.issued_on <> line.purchased_on then 'date'
        else 'value'
    end as field
from purchase_line as line
inner join erp.invoice as invoice on line.code = invoice.code
where
    invoice.invoice_id > %(first_id)s
    and (
        invoice.customer_id is distinct from line.customer_id
        or invoice.issued_on is distinct from line.purchased_on
        or invoice.value is distinct from line.value
    )
order by line.line_number
limit 1
