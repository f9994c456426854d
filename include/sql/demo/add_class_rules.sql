-- The rules between the classes of the demonstration. Parameter: business_date.
insert into crm.class_rule (
    name, source_class_id, target_class_id, priority, conditions, updated_at, updated_by
)
select
    rule.name,
    source.id as source_class_id,
    target.id as target_class_id,
    rule.priority,
    rule.conditions::jsonb as conditions,
    (%(business_date)s::date + time '09:00') at time zone 'America/Sao_Paulo' as updated_at,
    'demo' as updated_by
from (
    values (
        'Sobe para Ouro', 'Prata', 'Ouro', 10,
        '{"all": [{"field": "accumulated_value", "op": ">=", "value": "5000.00"},
                  {"field": "days_since_last_purchase", "op": "<=", "value": 365}]}'
    ),
    (
        'Sobe para Prata', 'Bronze', 'Prata', 20,
        '{"field": "accumulated_value", "op": ">=", "value": "1000.00"}'
    ),
    (
        'Desce para Prata', 'Ouro', 'Prata', 30,
        '{"any": [{"field": "accumulated_value", "op": "<", "value": "5000.00"},
                  {"field": "days_since_last_purchase", "op": ">", "value": 730}]}'
    ),
    (
        'Desce para Bronze', 'Prata', 'Bronze', 40,
        '{"field": "accumulated_value", "op": "<", "value": "1000.00"}'
    ),
    (
        'Entra em Bronze', null, 'Bronze', 50,
        '{"all": [{"field": "class", "op": "is_empty"},
                  {"field": "purchase_count", "op": ">=", "value": 10}]}'
    )
) as rule (name, source, target, priority, conditions)
inner join crm.account_class as target on rule.target = target.name
left join crm.account_class as source on rule.source = source.name
order by rule.priority
