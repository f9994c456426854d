-- Write the accounts whose data differ. Parameters: business_date, run_id.
insert into crm.account_supplementary as old (
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
    c.account_id,
    p.last_purchase_date,
    p.first_purchase_date,
    p.last_purchase_value,
    p.first_purchase_value,
    coalesce(p.accumulated_value, 0),
    q.last_quote_date,
    coalesce(p.purchase_count, 0),
    p.last_invoice_code,
    %(business_date)s,
    %(run_id)s
from compared as c
left join purchase as p on c.customer_id = p.customer_id
left join last_quote as q on c.customer_id = q.customer_id
where c.finding = 'changed'
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
