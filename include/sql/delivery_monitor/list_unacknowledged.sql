-- The manifests of delivered batches that the partner has not acknowledged: of each day the newest batch that
-- was delivered. Parameter: first_on (days before it are not asked about).
select
    id,
    manifest_name,
    delivered_at
from (
    select distinct on (business_date)
        id,
        business_date,
        manifest_name,
        delivered_at,
        acknowledged_at
    from crm.file_batch
    where business_date >= %(first_on)s and delivered_at is not null
    order by business_date asc, revision desc
) as newest
where acknowledged_at is null and manifest_name is not null
order by business_date
