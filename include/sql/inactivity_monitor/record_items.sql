-- Name every account that was found and not dealt with, and why. Parameter: run_id.
insert into crm.run_item (run_id, record_kind, record_id, outcome, reason, detail)
select
    %(run_id)s,
    'account',
    account_id::text,
    'skipped',
    reason,
    detail
from judged
where reason is not null
