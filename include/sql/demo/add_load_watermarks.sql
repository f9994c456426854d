-- The last eight days, the business date included, are loaded, whether they have data or not. So is the year
-- after them, on which nothing happens: the file batch of an environment that stays up goes on.
-- Parameter: business_date.
insert into erp.load_watermark (source, loaded_on, row_count, loaded_at)
select
    source.name as source,
    day.loaded_on::date,
    case
        when day.loaded_on::date > %(business_date)s
            then 0
        when source.name = 'sales_order'
            then (select count(*) from erp.sales_order as o where o.ordered_on = day.loaded_on::date)
        else (select count(*) from erp.customer as c where c.created_at::date = day.loaded_on::date)
    end as row_count,
    day.loaded_on::date + 1 + time '02:00' as loaded_at
from (values ('sales_order'), ('customer')) as source (name)
cross join
    generate_series(
        %(business_date)s::timestamp - interval '7 days',
        %(business_date)s::timestamp + interval '1 year',
        interval '1 day'
    ) as day (loaded_on)
