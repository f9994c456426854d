-- Give up messages whose dispatcher did not write back in time (it was killed, or lost the database): nobody
-- knows whether they were sent. Named in the run that finds them. Parameters: run_id, most, back_seconds
-- (leases that ran out longer ago are not looked for).
with lost as (
    select id
    from crm.message
    where
        status = 'sending'
        and lease_until < statement_timestamp()
        and lease_until >= statement_timestamp() - make_interval(secs => %(back_seconds)s)
    order by lease_until
    limit %(most)s
    for update skip locked
),

rescued as (
    update crm.message as m
    set
        status = 'unknown',
        reason = 'interrupted',
        error = 'the dispatcher was interrupted',
        lease_until = null
    where m.id = any(array(select id from lost))
    returning m.id, m.tries, m.lease_token
),

closed as (
    update crm.message_attempt as a
    set ended_at = clock_timestamp(), outcome = 'maybe_sent', error = 'the dispatcher was interrupted'
    from rescued as r
    where a.message_id = r.id and a.number = r.tries and a.token = r.lease_token
),

named as (
    insert into crm.run_item (run_id, record_kind, record_id, outcome, reason)
    select
        %(run_id)s::bigint,
        'message',
        id::text,
        'failed',
        'interrupted'
    from rescued
    where %(run_id)s::bigint is not null
    on conflict do nothing
)

select count(*) as count from rescued
