-- The invoices and quotes that the next refresh will find again, since it looks at the last hour once more;
-- of a load of very many the newest, the others are then looked at again. Parameters: recent_invoices_since,
-- recent_quotes_since, most_recent.
with quote as (
    insert into crm.account_data_recent_quote (quote_id, customer_id, quoted_on)
    select
        quote_id,
        customer_id,
        quoted_on
    from erp.quote
    where updated_at > %(recent_quotes_since)s
    order by updated_at desc
    limit %(most_recent)s
)

insert into crm.account_data_recent_invoice (invoice_id, customer_id, code, issued_on, value, cancelled_at)
select
    invoice_id,
    customer_id,
    code,
    issued_on,
    value,
    cancelled_at
from erp.invoice
where updated_at > %(recent_invoices_since)s
order by updated_at desc
limit %(most_recent)s
