-- What becomes of each account that a rule asks to move. It moves once in a business date. One that moved on
-- a newer date stays, all of them do when the date is older than the data, and so does one whose data the
-- refresh could not compute, where the rule reads them. Parameters: business_date, newer_than, erp_rule_ids,
-- dry_run.
create temp table transition on commit drop as
select
    c.account_id,
    c.class_id as from_class_id,
    rule.target_class_id as to_class_id,
    rule.id as rule_id,
    rule.name as rule_name,
    c.rule_values,
    coalesce(greatest(last_change.changed_on, %(newer_than)s::date), problem.first_seen_on) as reason_on,
    problem.detail as problem,
    case
        when greatest(last_change.changed_on, %(newer_than)s::date) > %(business_date)s then 'newer_data'
        when last_change.changed_on = %(business_date)s then 'moved'
        when problem.record_id is not null then 'known_problem'
        when %(dry_run)s then 'class_dry_run'
        else 'move'
    end as finding
from candidate as c
inner join crm.class_rule as rule on c.rule_id = rule.id
left join lateral (
    select max(changed_on) as changed_on
    from crm.account_class_change
    where account_id = c.account_id
) as last_change on true
left join crm.account_data_problem as problem
    on
        problem.record_kind = 'account'
        and c.account_id = problem.record_id
        and c.rule_id = any(%(erp_rule_ids)s::bigint[])
