-- What happened to the accounts in the CRM: to one in twenty nothing in the last hundred days, to the others
-- something in the last eighty. Parameter: business_date.
insert into crm.account_activity (account_id, process, occurred_at)
select
    happened.account_id,
    happened.process,
    happened.occurred_at
from (
    select
        id as account_id,
        created_at,
        (array['opportunity', 'ticket', 'task', 'campaign_action'])[1 + mod(id, 4)] as process,
        (%(business_date)s::date - case
            when mod(id, 20) = 7 then 100 + mod(id * 7919, 400)
            else mod(id * 7919, 80)
        end::integer + time '08:00' + mod(id * 104729, 43200) * interval '1 second')
        at time zone 'America/Sao_Paulo' as occurred_at
    from crm.account
) as happened
where happened.occurred_at > happened.created_at
order by happened.account_id
