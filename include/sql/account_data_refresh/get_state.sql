-- How far the refresh of all accounts has come, and how far the ERP has; an instant in the future (a wrong
-- clock in the ERP) is not believed. No parameters.
with invoice as (
    select
        max(updated_at) as newest_at,
        max(invoice_id) as greatest_id
    from erp.invoice
),

quote as (
    select max(updated_at) as newest_at from erp.quote
)

select
    state.refreshed_through_on,
    state.invoices_seen_through,
    state.quotes_seen_through,
    state.greatest_invoice_id as counted_through_id,
    case when invoice.newest_at is not null then least(invoice.newest_at, now()) end as newest_invoice_at,
    case when quote.newest_at is not null then least(quote.newest_at, now()) end as newest_quote_at,
    invoice.greatest_id as greatest_invoice_id
from invoice
cross join quote
left join crm.account_data_state as state on state.singleton
