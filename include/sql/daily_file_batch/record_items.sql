-- Name every order and customer that is left out, and why. Parameter: run_id.
insert into crm.run_item (run_id, record_kind, record_id, outcome, reason, detail)
select
    %(run_id)s,
    record_kind,
    record_id::text,
    'skipped',
    reason,
    detail
from left_out
