-- The days of a stretch whose batch was not delivered, in their order. Parameters: first, last.
select day.business_date::date
from generate_series(%(first)s::timestamp, %(last)s::timestamp, interval '1 day') as day (business_date)
where
    not exists (
        select from crm.file_batch as b
        where b.business_date = day.business_date::date and b.delivered_at is not null
    )
order by day.business_date
