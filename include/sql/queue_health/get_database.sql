-- How the table of messages fares in the database: its size, what waits to be cleaned up, and which session
-- keeps it from being cleaned up. Of a session of another role everybody sees how many transactions ago it
-- began, and only members of pg_read_all_stats when. No parameters.
with oldest as (
    select
        application_name,
        now() - xact_start as age,
        age(backend_xmin) as transactions
    from pg_stat_activity
    where datname = current_database() and backend_xmin is not null and pid <> pg_backend_pid()
    order by age(backend_xmin) desc, xact_start asc
    limit 1
)

select
    t.n_dead_tup as dead_tuples,
    pg_total_relation_size(t.relid) as size_bytes,
    o.application_name as oldest_session,
    o.age as oldest_age,
    o.transactions as oldest_transactions
from pg_stat_user_tables as t
left join oldest as o on true
where t.schemaname = 'crm' and t.relname = 'message'
