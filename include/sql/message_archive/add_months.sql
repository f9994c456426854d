-- Make the partitions of the archive that the selected messages need; their months are those of UTC. No
-- parameters.
select crm.add_archive_month(month)
from (
    select distinct date_trunc('month', created_at at time zone 'UTC')::date as month
    from archived
) as needed
