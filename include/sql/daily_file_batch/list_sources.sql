-- What the files are made of: how many rows of the business date each source says it has (NULL: it has not
-- said so), and how many there are. Parameters: business_date, begins_at, ends_at (of that day).
select
    found.source,
    found.rows,
    w.row_count as expected
from (
    select
        'sales_order' as source,
        count(*) as rows
    from erp.sales_order
    where ordered_on = %(business_date)s
    union all
    select
        'customer' as source,
        count(*) as rows
    from erp.customer
    where created_at >= %(begins_at)s and created_at < %(ends_at)s
) as found
left join erp.load_watermark as w on found.source = w.source and w.loaded_on = %(business_date)s
order by found.source
