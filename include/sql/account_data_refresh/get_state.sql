-- How far the refresh of all accounts has come, and how far the ERP has; an instant in the future (a wrong
-- clock in the ERP) is not believed. No parameters.
select
    state.refreshed_through_on,
    state.invoices_seen_through,
    state.quotes_seen_through,
    (
        select least(max(updated_at), now()) from erp.invoice
        having max(updated_at) is not null
    ) as newest_invoice_at,
    (
        select least(max(updated_at), now()) from erp.quote
        having max(updated_at) is not null
    ) as newest_quote_at
from (values (true)) as always (present)
left join crm.account_data_state as state on always.present
