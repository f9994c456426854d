-- What a person sets of a class rule, and its key. Parameter: name.
select
    rule.id,
    rule.name,
    rule.active,
    source.name as source,
    target.name as target,
    rule.priority,
    rule.conditions,
    audience.name as audience
from crm.class_rule as rule
inner join crm.account_class as target on rule.target_class_id = target.id
left join crm.account_class as source on rule.source_class_id = source.id
left join crm.audience as audience on rule.audience_id = audience.id
where rule.name = %(name)s
