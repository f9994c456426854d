-- Take the sent messages that the gateway is to be asked about: nobody else gets them until five minutes have
-- passed without an answer. It is asked no more about those sent more than three days ago.
-- Parameters: gateway_id, most.
with over as (
    update crm.message
    set poll_after = null
    where id = any(
        array(
            select id from crm.message
            where
                gateway_id = %(gateway_id)s
                and poll_after <= statement_timestamp()
                and (sent_at > clock_timestamp() - interval '3 days') is not true
            for update skip locked
        )
    )
),

due as (
    select id
    from crm.message
    where
        gateway_id = %(gateway_id)s
        and poll_after <= statement_timestamp()
        and sent_at > clock_timestamp() - interval '3 days'
        and gateway_message_id is not null
    order by poll_after
    limit %(most)s
    for update skip locked
)

update crm.message
set poll_after = clock_timestamp() + interval '5 minutes'
where id = any(array(select id from due))
returning id, gateway_message_id
