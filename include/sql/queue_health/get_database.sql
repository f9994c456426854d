-- How the table of messages fares in the database: its size, what waits to be cleaned up, and which session
-- keeps it from being cleaned up: by what it reads (xmin) or what it wrote and has not ended (xid). Prepared
-- transactions and replication slots do so, too. Of a session of another role everybody sees how many
-- transactions ago it began, and only members of pg_read_all_stats when. No parameters.
with holder as (
    select
        application_name,
        now() - xact_start as age,
        greatest(age(backend_xmin), age(backend_xid)) as transactions
    from pg_stat_activity
    where
        (datname = current_database() or backend_type = 'walsender')
        and pid <> pg_backend_pid()
    union all
    select
        'prepared transaction ' || gid as application_name,
        now() - prepared as age,
        age(transaction) as transactions
    from pg_prepared_xacts
    where database = current_database()
    union all
    select
        'replication slot ' || slot_name as application_name,
        null as age,
        age(xmin) as transactions
    from pg_replication_slots
),

oldest as (
    select
        application_name,
        age,
        transactions
    from holder
    where transactions is not null
    order by transactions desc, age desc nulls last
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
