-- What the selected accounts have to become: their fields as of the business date, for each account that is
-- not as it should be already. Also the customers with purchases but no account (`no_account`), among which
-- invoices without a customer are looked for. Parameters: all_customers (read all quotes instead of looking
-- up those of the selected accounts that need it), business_date, newer_than (all accounts have the data of
-- this later date).
create temp table compared on commit drop as
with last_quote as (
    select
        customer_id,
        max(quoted_on) as last_quote_date
    from erp.quote
    where
        quoted_on <= %(business_date)s
        and customer_id is not null
        and %(newer_than)s::date is null
        and (
            %(all_customers)s
            or customer_id = any(array(select customer_id from selection where quotes_anew))
        )
    group by customer_id
),

account as (
    select
        s.account_id,
        coalesce(s.customer_id, p.customer_id) as customer_id,
        s.as_of_on as old_as_of_on,
        p.last_purchase_date,
        p.first_purchase_date,
        p.last_purchase_value,
        p.first_purchase_value,
        coalesce(p.accumulated_value, 0) as accumulated_value,
        case when %(all_customers)s or s.quotes_anew then q.last_quote_date else s.last_quote_date end
            as last_quote_date,
        coalesce(p.purchase_count, 0) as purchase_count,
        p.last_invoice_code,
        case
            when s.account_id is null then 'no_account'
            when %(newer_than)s::date is not null or s.as_of_on > %(business_date)s then 'newer_data'
            when
                p.invalid
                or p.accumulated_value >= 1000000000000  -- NaN is above all numbers
                or s.customer_id = any(array(select customer_id from undated_customer))
                then 'invalid_invoice'
            when
                (s.last_purchase_date is not distinct from p.last_purchase_date)
                and (s.first_purchase_date is not distinct from p.first_purchase_date)
                and (s.last_purchase_value is not distinct from p.last_purchase_value)
                and (s.first_purchase_value is not distinct from p.first_purchase_value)
                and s.accumulated_value = coalesce(p.accumulated_value, 0)
                and s.purchase_count = coalesce(p.purchase_count, 0)
                and (s.last_invoice_code is not distinct from p.last_invoice_code)
                and (
                    s.last_quote_date is not distinct from q.last_quote_date
                    or not (%(all_customers)s or s.quotes_anew)
                )
                then case when s.customer_id is null then 'not_linked' else 'unchanged' end
            else 'changed'
        end as finding
    from selection as s
    full join purchase as p on s.customer_id = p.customer_id
    left join last_quote as q on s.customer_id = q.customer_id
)

select * from account
where finding <> 'unchanged'
