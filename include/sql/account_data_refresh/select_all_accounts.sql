-- The accounts that this run looks at, with their data as they stand: all of them. A view, so that nothing is
-- copied. No parameters.
create temp view selection as
select
    a.id as account_id,
    a.erp_customer_id as customer_id,
    true as purchases_anew,
    true as quotes_anew,
    old.as_of_on,
    old.last_purchase_date,
    old.first_purchase_date,
    old.last_purchase_value,
    old.first_purchase_value,
    coalesce(old.accumulated_value, 0) as accumulated_value,
    old.last_quote_date,
    coalesce(old.purchase_count, 0) as purchase_count,
    old.last_invoice_code
from crm.account as a
left join crm.account_supplementary as old on a.id = old.account_id
