-- Messages of a number or key, to a customer, an account or an address, archived ones too, newest first: each
-- by an index. What is null is not looked for. Parameters: number, recipients, key, most.
with keyed as (
    select message_id as id
    from crm.message_key
    where dedupe_key = %(key)s::text
),

waiting_or_done as (
    select id
    from crm.message
    where id = %(number)s::bigint
    union
    select id
    from crm.message
    where customer_id = %(number)s::bigint
    union
    select id
    from crm.message
    where account_id = %(number)s::bigint
    union
    select id
    from crm.message
    where recipient = any(%(recipients)s::text[])
    union
    select m.id
    from crm.gateway as g
    inner join crm.message as m on g.id = m.gateway_id
    where m.gateway_message_id = %(key)s::text
    union
    select id
    from keyed
),

archived as (
    select id
    from crm.message_archive
    where id = %(number)s::bigint
    union
    select id
    from crm.message_archive
    where customer_id = %(number)s::bigint
    union
    select id
    from crm.message_archive
    where account_id = %(number)s::bigint
    union
    select id
    from crm.message_archive
    where recipient = any(%(recipients)s::text[])
    union
    select id
    from keyed
)

select
    m.id,
    m.created_at,
    false as archived
from crm.message as m
inner join waiting_or_done as w on m.id = w.id
union all
select
    m.id,
    m.created_at,
    true as archived
from crm.message_archive as m
inner join archived as a on m.id = a.id
order by created_at desc, id desc
limit %(most)s
