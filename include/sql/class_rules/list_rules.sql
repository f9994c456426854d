-- All class rules in the order in which they are tried, with the names and the filters that they refer to.
-- No parameters.
select
    rule.id,
    rule.name,
    rule.active,
    rule.priority,
    rule.conditions,
    source.id as source_id,
    source.name as source_name,
    source.active as source_active,
    target.id as target_id,
    target.name as target_name,
    target.active as target_active,
    audience.id as audience_id,
    audience.name as audience_name,
    audience.filter as audience_filter
from crm.class_rule as rule
inner join crm.account_class as target on rule.target_class_id = target.id
left join crm.account_class as source on rule.source_class_id = source.id
left join crm.audience as audience on rule.audience_id = audience.id
order by rule.priority, rule.id
