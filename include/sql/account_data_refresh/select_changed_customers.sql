-- Customers whose invoices or quotes changed in the ERP, or have come of age since the last refresh, and
-- which of the two must be read again. A row that does not say when it changed counts as changed. An invoice
-- with a key greater than any that the last refresh saw is new: it is only added up. What the last one saw
-- of the ERP's last hour, and has not changed since, is known. Parameters: everything,
-- invoices_since, quotes_since, refreshed_through_on, business_date, counted_through_id.
create temp table changed_customer on commit drop as
with change as (
    select
        customer_id,
        coalesce(invoice_id <= %(counted_through_id)s, true) as purchases_anew,
        false as quotes_anew
    from erp.invoice as i
    where
        (updated_at > %(invoices_since)s or updated_at is null)
        and not exists (
            select from crm.account_data_recent_invoice as known
            where
                known.invoice_id = i.invoice_id
                and (known.customer_id, known.code, known.issued_on, known.value, known.cancelled_at)
                is not distinct from (i.customer_id, i.code, i.issued_on, i.value, i.cancelled_at)
        )
    union all
    select
        customer_id,
        coalesce(invoice_id <= %(counted_through_id)s, true) as purchases_anew,
        false as quotes_anew
    from erp.invoice
    where issued_on > %(refreshed_through_on)s and issued_on <= %(business_date)s
    union all
    select
        customer_id,
        false as purchases_anew,
        true as quotes_anew
    from erp.quote as q
    where
        (updated_at > %(quotes_since)s or updated_at is null)
        and not exists (
            select from crm.account_data_recent_quote as known
            where
                known.quote_id = q.quote_id
                and (known.customer_id, known.quoted_on) is not distinct from (q.customer_id, q.quoted_on)
        )
    union all
    select
        customer_id,
        false as purchases_anew,
        true as quotes_anew
    from erp.quote
    where quoted_on > %(refreshed_through_on)s and quoted_on <= %(business_date)s
)

select
    customer_id,
    bool_or(purchases_anew) as purchases_anew,
    bool_or(quotes_anew) as quotes_anew
from change
where not %(everything)s and customer_id is not null
group by customer_id
