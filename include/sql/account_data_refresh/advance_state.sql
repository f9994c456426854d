-- All accounts are refreshed through the business date. Parameters: business_date, newest_invoice_at,
-- newest_quote_at, greatest_invoice_id, run_id.
insert into crm.account_data_state as state (
    refreshed_through_on, invoices_seen_through, quotes_seen_through, greatest_invoice_id, run_id
)
values (
    %(business_date)s,
    %(newest_invoice_at)s,
    %(newest_quote_at)s,
    %(greatest_invoice_id)s,
    %(run_id)s
)
on conflict (singleton) do update
    set
        refreshed_through_on = excluded.refreshed_through_on,
        invoices_seen_through = excluded.invoices_seen_through,
        quotes_seen_through = excluded.quotes_seen_through,
        greatest_invoice_id = excluded.greatest_invoice_id,
        run_id = excluded.run_id
