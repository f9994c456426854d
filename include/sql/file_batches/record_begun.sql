-- Write down that the partner may have something of a batch from now on. Parameter: batch_id.
update crm.file_batch
set delivery_began_at = coalesce(delivery_began_at, clock_timestamp())
where id = %(batch_id)s
