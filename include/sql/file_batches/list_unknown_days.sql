-- The days of a stretch that the ledger does not know, in their order. Parameters: first, last.
select day.business_date::date
from generate_series(%(first)s::timestamp, %(last)s::timestamp, interval '1 day') as day (business_date)
where not exists (select from crm.file_batch as b where b.business_date = day.business_date::date)
order by day.business_date
