-- Name gateways in the run that are not active and have messages waiting. Parameter: run_id.
insert into crm.run_item (run_id, record_kind, record_id, outcome, reason)
select
    %(run_id)s,
    'gateway',
    g.code,
    'skipped',
    'inactive_gateway'
from crm.gateway as g
where
    not g.active
    and exists (select from crm.message as m where m.gateway_id = g.id and m.status = 'waiting' and m.ready)
on conflict do nothing
