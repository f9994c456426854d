-- End messages whose time is over before they could be sent, of any gateway (those of one that does not send
-- would lie in the way), and name them in the run that finds them. Parameters: run_id, most.
with late as (
    select id
    from crm.message
    where
        status in ('waiting', 'held')
        and expires_at is not null
        and expires_at <= statement_timestamp()
    order by expires_at
    limit %(most)s
    for update skip locked
),

expired as (
    update crm.message as m
    set status = 'expired', ready = false, ended_at = clock_timestamp()
    where m.id = any(array(select id from late))
    returning m.id, m.expires_at
),

named as (
    insert into crm.run_item (run_id, record_kind, record_id, outcome, reason)
    select
        %(run_id)s::bigint,
        'message',
        id::text,
        'skipped',
        'expired'
    from expired
    where %(run_id)s::bigint is not null
    on conflict do nothing
)

select count(*) as count from expired
