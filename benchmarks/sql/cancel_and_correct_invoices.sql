-- Cancel and correct invoices, as many of one as of the other, spread over a day: half of them are of the
-- last 30 days, the others older. Parameters: day (date), midnight (instant at which it begins), number.
with good as (
    select
        invoice_id,
        issued_on >= %(day)s::date - 30 as recent,
        hashint8extended(invoice_id, extract(day from %(day)s::date)::bigint) as lot
    from erp.invoice
    where cancelled_at is null and issued_on < %(day)s and value >= 0
),

drawn as (
    (select * from good where recent order by lot limit %(number)s / 2)
    union all
    (select * from good where not recent order by lot limit %(number)s / 2)
),

change as (
    select
        invoice_id,
        row_number() over (order by lot) %% 2 = 0 as cancelled,
        %(midnight)s + interval '24 hours' * row_number() over (order by lot) / %(number)s as moment
    from drawn
)

update erp.invoice as i
set
    value = case when change.cancelled then i.value else i.value + 1 end,
    cancelled_at = case when change.cancelled then change.moment end,
    updated_at = change.moment
from change
where i.invoice_id = change.invoice_id
