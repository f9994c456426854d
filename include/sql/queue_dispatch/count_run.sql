-- What a run did: messages it sent, put back, skipped and failed, and gateways that failed.
-- Parameter: run_id.
with last as (
    select distinct on (message_id)
        message_id,
        outcome
    from crm.message_attempt
    where run_id = %(run_id)s
    order by message_id asc, number desc
),

item as (
    select
        record_kind,
        record_id,
        outcome,
        reason
    from crm.run_item
    where run_id = %(run_id)s
),

rest as (
    select outcome from last
    where not exists (
        select from item where item.record_kind = 'message' and item.record_id = last.message_id::text
    )
)

select
    (select count(*) from rest where outcome = 'accepted') as changed,
    (select count(*) from rest where outcome <> 'accepted') as unchanged,
    (select count(*) from item where outcome = 'skipped') as skipped,
    (select count(*) from item where outcome = 'failed') as failed,
    (
        select string_agg(alert, '; ' order by alert)
        from (
            select 'gateway ' || record_id || ' parado' as alert
            from item
            where record_kind = 'gateway' and outcome = 'failed'
            union all
            select count(*) || ' mensagens sem resposta clara, que esperam por uma pessoa'
            from item
            where reason in ('maybe_sent', 'interrupted')
            having count(*) > 0
        ) as found
    ) as alerts
