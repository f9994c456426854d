-- Expect batches: one for each of the days, with its files. Days that somebody else has just added stay as
-- they are. Parameters: dates, due_at (of each date), file_dates, feeds and names (of each file).
with added as (
    insert into crm.file_batch (business_date, due_at)
    select *
    from unnest(%(dates)s::date[], %(due_at)s::timestamptz[])
    on conflict (business_date, revision) do nothing
    returning id, business_date
)

insert into crm.file_batch_file (batch_id, feed, name)
select
    added.id,
    file.feed,
    file.name
from added
inner join
    unnest(%(file_dates)s::date[], %(feeds)s::text[], %(names)s::text[])
        as file (business_date, feed, name)
    on added.business_date = file.business_date
