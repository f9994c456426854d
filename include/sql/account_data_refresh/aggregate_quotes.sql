-- Per customer: the date of its last quote up to the business date. Parameters: all_customers, newer_than,
-- business_date.
create temp table last_quote on commit drop as
select customer_id, max(quoted_on) as last_quote_date
from erp.quote
where
    quoted_on <= %(business_date)s
    and %(newer_than)s::date is null
    and (%(all_customers)s or customer_id = any(array(select customer_id from selection)))
group by customer_id
