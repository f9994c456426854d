-- The records whose rows differ between two batches, filled feed by feed. No parameters.
create temp table touched (
    feed text,
    record text,
    in_new boolean,
    registered_on text
) on commit drop
