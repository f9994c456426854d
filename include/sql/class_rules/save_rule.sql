-- Insert a class rule, or change the one of that name. Parameters: name, active, source_id, target_id,
-- priority, conditions, audience_id, login.
insert into crm.class_rule (
    name, active, source_class_id, target_class_id, priority, conditions, audience_id, updated_by
)
values (
    %(name)s,
    %(active)s,
    %(source_id)s,
    %(target_id)s,
    %(priority)s,
    %(conditions)s,
    %(audience_id)s,
    %(login)s
)
on conflict (name) do update
    set
        active = excluded.active,
        source_class_id = excluded.source_class_id,
        target_class_id = excluded.target_class_id,
        priority = excluded.priority,
        conditions = excluded.conditions,
        audience_id = excluded.audience_id,
        updated_at = now(),
        updated_by = excluded.updated_by
