-- What this transaction sees, for other sessions to see the same. No parameters.
select pg_export_snapshot()
