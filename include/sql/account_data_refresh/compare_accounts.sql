-- What this run finds about each selected account, before anything is written. Parameters: newer_than, the
-- date through which all accounts are refreshed when it is later than the business date; business_date.
create temp table compared on commit drop as
select
    s.account_id,
    s.customer_id,
    case
        when s.customer_id is null then 'not_linked'
        when %(newer_than)s::date is not null or old.as_of_on > %(business_date)s then 'newer_data'
        when bad.customer_id is not null and known.record_id is not null then 'known_problem'
        when bad.customer_id is not null then 'invalid_invoice'
        when (
            old.last_purchase_date is not distinct from p.last_purchase_date
            and old.first_purchase_date is not distinct from p.first_purchase_date
            and old.last_purchase_value is not distinct from p.last_purchase_value
            and old.first_purchase_value is not distinct from p.first_purchase_value
            and coalesce(old.accumulated_value, 0) = coalesce(p.accumulated_value, 0)
            and coalesce(old.purchase_count, 0) = coalesce(p.purchase_count, 0)
            and old.last_invoice_code is not distinct from p.last_invoice_code
            and old.last_quote_date is not distinct from q.last_quote_date
        ) then 'unchanged'
        else 'changed'
    end as finding
from selection as s
left join purchase as p on s.customer_id = p.customer_id
left join last_quote as q on s.customer_id = q.customer_id
left join crm.account_supplementary as old on s.account_id = old.account_id
left join invalid_invoice as bad on s.customer_id = bad.customer_id
left join crm.account_data_problem as known
    on known.record_kind = 'account' and s.account_id = known.record_id
