-- Put the messages whose time has come into the line. Parameters: gateway_id, most.
with due as (
    select id
    from crm.message
    where
        gateway_id = %(gateway_id)s
        and status in ('waiting', 'held')
        and not ready
        and send_after <= statement_timestamp()
    order by send_after
    limit %(most)s
    for update skip locked
),

readied as (
    update crm.message as m
    set status = 'waiting', ready = true
    where m.id = any(array(select id from due))
    returning m.id
)

select count(*) as count from readied
