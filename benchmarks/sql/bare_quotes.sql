-- The last quotes, straight into a table. Parameter: business_date.
create table crm.bare_quote as
select
    customer_id,
    max(quoted_on) as last_quote_date
from erp.quote
where quoted_on <= %(business_date)s
group by customer_id
