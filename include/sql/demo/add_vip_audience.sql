-- The audience "Clientes VIP": every fiftieth account. Parameter: business_date.
with vip as (
    insert into crm.audience (name, created_at)
    values ('Clientes VIP', (%(business_date)s::date + time '09:00') at time zone 'America/Sao_Paulo')
    returning id as audience_id
)

insert into crm.audience_account (audience_id, account_id)
select
    vip.audience_id,
    account.id as account_id
from vip
cross join crm.account as account
where mod(account.id, 50) = 1
