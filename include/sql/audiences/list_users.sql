-- What uses an audience, active or not. Parameter: audience_id.
select 'class rule ' || quote_literal(name) as used_by from crm.class_rule
where audience_id = %(audience_id)s
union all
select 'monitoring profile ' || quote_literal(name) from crm.monitoring_profile
where audience_id = %(audience_id)s
order by used_by
