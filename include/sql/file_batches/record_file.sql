-- Write down that a file of a batch was made. Parameters: batch_id, feed, name, rows, bytes, sha256,
-- changed_values.
insert into crm.file_batch_file (
    batch_id, feed, name, rows, bytes, sha256, changed_values, generated_at
)
values (
    %(batch_id)s,
    %(feed)s,
    %(name)s,
    %(rows)s,
    %(bytes)s,
    %(sha256)s,
    %(changed_values)s,
    clock_timestamp()
)
on conflict (batch_id, feed) do update
    set
        name = excluded.name,
        rows = excluded.rows,
        bytes = excluded.bytes,
        sha256 = excluded.sha256,
        changed_values = excluded.changed_values,
        generated_at = excluded.generated_at
