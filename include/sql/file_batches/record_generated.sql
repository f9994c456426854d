-- Write down that a batch was made. Parameters: batch_id, sequence, manifest_name, manifest_sha256,
-- differences, run_id.
update crm.file_batch
set
    sequence = %(sequence)s,
    generated_at = clock_timestamp(),
    manifest_name = %(manifest_name)s,
    manifest_sha256 = %(manifest_sha256)s,
    differences = %(differences)s,
    error = null,
    run_id = %(run_id)s
where id = %(batch_id)s
