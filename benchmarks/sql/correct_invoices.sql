-- Correct invoices of any age, spread over a day. Parameters: day (date), midnight (instant at which it
-- begins), number.
with change as (
    select
        invoice_id,
        %(midnight)s + interval '24 hours' * row_number() over () / %(number)s as moment
    from erp.invoice
    where invoice_id %% 1000 = extract(day from %(day)s::date) and value is not null
    limit %(number)s
)

update erp.invoice as i
set
    value = i.value + 1,
    updated_at = change.moment
from change
where i.invoice_id = change.invoice_id
