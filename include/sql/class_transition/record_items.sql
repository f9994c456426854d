-- Name every account that a rule asks to move and that stays, and why. Personal values have no title and are
-- left out. Parameters: run_id, titles (of the fields, as JSON).
insert into crm.run_item (run_id, record_kind, record_id, outcome, reason, detail)
select
    %(run_id)s,
    'account',
    t.account_id::text,
    'skipped',
    t.finding,
    case t.finding
        when 'newer_data' then 'já em ' || to_char(t.reason_on, 'DD/MM/YYYY')
        when 'known_problem' then t.problem
        else
            coalesce(source.name, 'sem classe') || ' → ' || target.name || ', regra ' || t.rule_name || ': '
            || coalesce(asked.detail, '')
    end
from transition as t
inner join crm.account_class as target on t.to_class_id = target.id
left join crm.account_class as source on t.from_class_id = source.id
left join lateral (
    select string_agg(title.value || ' ' || coalesce(one.value, 'vazio'), ', ' order by title.value) as detail
    from jsonb_each_text(t.rule_values) as one
    inner join jsonb_each_text(%(titles)s) as title on one.key = title.key
) as asked on true
where t.finding in ('newer_data', 'known_problem', 'class_dry_run')
