-- Give the selected messages that are pending a priority, but those that somebody has in hand, and have the
-- dispatchers look at the front again. A new priority begins without a place of its own. Parameter: priority.
with eligible as (
    select m.id
    from selected_message as s
    inner join crm.message as m on s.id = m.id
    where m.status in ('waiting', 'held')
    for update of m skip locked
),

changed as (
    update crm.message as m
    set
        priority = %(priority)s,
        position = case when m.priority = %(priority)s then m.position else 0 end
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
