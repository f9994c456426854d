-- Name every record whose message was skipped or failed, and why. Parameter: run_id.
insert into crm.run_item (run_id, record_kind, record_id, outcome, reason, detail)
select
    %(run_id)s,
    record_kind,
    record_id,
    outcome,
    reason,
    detail
from checked
where outcome in ('skipped', 'failed')
