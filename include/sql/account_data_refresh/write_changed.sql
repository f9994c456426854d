-- Write the accounts whose data differ. Parameters: business_date, run_id.
insert into crm.account_supplementary (
    account_id,
    last_purchase_date,
    first_purchase_date,
    last_purchase_value,
    first_purchase_value,
    accumulated_value,
    last_quote_date,
    purchase_count,
    last_invoice_code,
    as_of_on,
    run_id
)
select
    account_id,
    last_purchase_date,
    first_purchase_date,
    last_purchase_value,
    first_purchase_value,
    accumulated_value,
    last_quote_date,
    purchase_count,
    last_invoice_code,
    %(business_date)s,
    %(run_id)s
from compared
where finding = 'changed'
on conflict (account_id) do update
    set
        last_purchase_date = excluded.last_purchase_date,
        first_purchase_date = excluded.first_purchase_date,
        last_purchase_value = excluded.last_purchase_value,
        first_purchase_value = excluded.first_purchase_value,
        accumulated_value = excluded.accumulated_value,
        last_quote_date = excluded.last_quote_date,
        purchase_count = excluded.purchase_count,
        last_invoice_code = excluded.last_invoice_code,
        as_of_on = excluded.as_of_on,
        run_id = excluded.run_id
