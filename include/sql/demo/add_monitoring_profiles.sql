-- Two monitoring profiles, and who is notified of what they find. Parameter: business_date.
with saved as (
    insert into crm.monitoring_profile (
        name, period_days, processes, audience_id, transfer_to_team_id, notify_owners, updated_at, updated_by
    )
    select
        profile.name,
        profile.period_days,
        profile.processes,
        audience.id as audience_id,
        team.id as transfer_to_team_id,
        profile.notify_owners,
        (%(business_date)s::date + time '09:00') at time zone 'America/Sao_Paulo' as updated_at,
        'demo' as updated_by
    from (
        values (
            'Sem contato há 90 dias', 90, array['opportunity', 'ticket', 'task', 'campaign_action'], null,
            'Vendas', true
        ),
        ('VIP sem compras há 180 dias', 180, array['quote', 'order'], 'Clientes VIP', null, false)
    ) as profile (name, period_days, processes, audience, team, notify_owners)
    left join crm.audience as audience on profile.audience = audience.name
    left join crm.team as team on profile.team = team.name
    order by profile.name
    returning id
)

insert into crm.monitoring_profile_user (profile_id, login)
select
    id as profile_id,
    'op' as login
from saved
