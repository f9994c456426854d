-- Move the selected messages that are pending to their places, but those that somebody has in hand, and have
-- the dispatchers look at the front again. No parameters.
with eligible as (
    select
        m.id,
        s.position
    from selected_message as s
    inner join crm.message as m on s.id = m.id
    where m.status in ('waiting', 'held')
    for update of m skip locked
),

changed as (
    update crm.message as m
    set position = e.position
    from eligible as e
    where m.id = e.id
    returning m.id, m.gateway_id
),

done as (
    delete from selected_message as s
    using changed as c
    where s.id = c.id
),

announced as (
    update crm.gateway
    set order_version = order_version + 1
    where id in (select gateway_id from changed)
)

select count(*) as changed from changed
