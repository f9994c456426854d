-- How many accounts were selected, and what was named of accounts and of invoices. Parameter: run_id.
select
    (select count(*) from selection) as accounts,
    count(*) filter (where record_kind = 'account') as account_items,
    count(*) filter (where record_kind = 'invoice') as invoice_items,
    count(*) filter (where outcome = 'skipped') as skipped,
    count(*) filter (where outcome = 'failed') as failed
from crm.run_item
where run_id = %(run_id)s
