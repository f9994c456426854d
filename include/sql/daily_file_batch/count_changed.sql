-- How many of the records that are written are written differently: orders, whichever of their files differs,
-- and customers registered on the business date. Parameter: business_date (as the files have it).
with gone as (
    select record
    from touched
    where feed = 'orders'
    group by record
    having not bool_or(in_new)
)

select
    count(distinct t.record) filter (where t.feed <> 'customers' and g.record is null)
    + count(distinct t.record) filter (
        where t.feed = 'customers' and t.in_new and t.registered_on = %(business_date)s
    ) as records
from touched as t
left join gone as g on t.record = g.record
