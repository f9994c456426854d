-- The class transitions of an account, newest first, with the rule and what it saw. Parameters: account_id,
-- most.
select
    h.changed_on,
    f.name as from_class,
    t.name as to_class,
    h.rule_name,
    h.rule_values,
    h.run_id
from crm.account_class_change as h
left join crm.account_class as f on h.from_class_id = f.id
left join crm.account_class as t on h.to_class_id = t.id
where h.account_id = %(account_id)s
order by h.changed_on desc, h.id desc
limit %(most)s
