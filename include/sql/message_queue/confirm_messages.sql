-- Settle the selected messages whose outcome is unknown as a person says, but those that somebody has in
-- hand. A sent one was sent when its last attempt began. Parameters: sent, reason (why it failed).
with eligible as (
    select m.id
    from selected_message as s
    inner join crm.message as m on s.id = m.id
    where m.status = 'unknown'
    for update of m skip locked
),

changed as (
    update crm.message as m
    set
        status = case when %(sent)s then 'sent' else 'failed' end,
        reason = 'confirmed',
        error = %(reason)s,
        lease_token = null,
        lease_until = null,
        sent_at = case
            when %(sent)s then coalesce(
                (
                    select a.started_at from crm.message_attempt as a
                    where a.message_id = m.id and a.number = m.tries
                ),
                clock_timestamp()
            )
        end,
        ended_at = clock_timestamp()
    from eligible as e
    where m.id = e.id
    returning m.id
),

done as (
    delete from selected_message as s
    using changed as c
    where s.id = c.id
)

select count(*) as changed from changed
