-- The batches of a day by revision, or (without a day) those that were generated and are not at the partner,
-- or not surely, in the order of their numbers. Parameter: business_date.
select
    b.id,
    b.business_date,
    b.revision,
    b.sequence,
    b.due_at,
    b.generated_at,
    b.delivery_began_at,
    b.delivered_at,
    b.verified_at,
    b.acknowledged_at,
    b.manifest_name,
    b.manifest_sha256,
    array(
        select
            jsonb_build_object(
                'feed', f.feed, 'name', f.name, 'rows', f.rows, 'bytes', f.bytes, 'sha256', f.sha256
            )
        from crm.file_batch_file as f
        where f.batch_id = b.id
        order by f.feed
    ) as files
from crm.file_batch as b
where
    b.business_date = %(business_date)s
    or (%(business_date)s::date is null and b.sequence is not null and b.verified_at is null)
order by b.sequence, b.revision
