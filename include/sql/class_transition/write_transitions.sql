-- Move the accounts and write their history. Parameters: business_date, run_id.
with moved as (
    update crm.account as a
    set class_id = t.to_class_id
    from transition as t
    where t.finding = 'move' and a.id = t.account_id
)

insert into crm.account_class_change (
    account_id, changed_on, from_class_id, to_class_id, rule_id, rule_name, rule_values, run_id
)
select
    account_id,
    %(business_date)s,
    from_class_id,
    to_class_id,
    rule_id,
    rule_name,
    rule_values,
    %(run_id)s
from transition
where finding = 'move'
