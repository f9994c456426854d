-- The first accounts that are to move, with the number of all of them.
-- Parameters: rule (name; NULL: whichever), most.
select
    t.account_id,
    a.name,
    source.name as from_class,
    target.name as to_class,
    t.rule_name as rule,
    t.rule_values as values,
    count(*) over () as total
from transition as t
inner join crm.account as a on t.account_id = a.id
inner join crm.account_class as target on t.to_class_id = target.id
left join crm.account_class as source on t.from_class_id = source.id
where
    t.finding in ('move', 'class_dry_run')
    and (%(rule)s::text is null or t.rule_name = %(rule)s)
order by t.account_id
limit %(most)s
