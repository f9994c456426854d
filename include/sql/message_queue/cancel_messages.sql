-- Cancel the selected messages that are pending, but those that somebody has in hand. No parameters.
with eligible as (
    select m.id
    from selected_message as s
    inner join crm.message as m on s.id = m.id
    where m.status in ('waiting', 'held')
    for update of m skip locked
),

changed as (
    update crm.message as m
    set status = 'cancelled', ready = false, reason = 'cancelled', ended_at = clock_timestamp()
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
