-- The audiences "Clientes VIP", a list of every fiftieth account, and "Compraram mais de R$ 10.000", a
-- filter. Parameter: business_date.
with audience as (
    insert into crm.audience (name, filter, created_at, updated_at)
    select
        new.name,
        new.filter::jsonb,
        (%(business_date)s::date + time '09:00') at time zone 'America/Sao_Paulo',
        (%(business_date)s::date + time '09:00') at time zone 'America/Sao_Paulo'
    from (
        values ('Clientes VIP', null),
        (
            'Compraram mais de R$ 10.000',
            '{"field": "accumulated_value", "op": ">", "value": "10000.00"}'
        )
    ) as new (name, filter)
    returning
        id as audience_id,
        filter
)

insert into crm.audience_account (audience_id, account_id)
select
    audience.audience_id,
    account.id as account_id
from audience
cross join crm.account as account
where audience.filter is null and mod(account.id, 50) = 1
