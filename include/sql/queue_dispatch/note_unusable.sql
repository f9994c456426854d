-- Name a gateway in a run that cannot be used. Parameters: run_id, gateway, problem.
insert into crm.run_item (run_id, record_kind, record_id, outcome, reason, detail)
values (%(run_id)s, 'gateway', %(gateway)s, 'failed', 'gateway_unusable', %(problem)s)
on conflict (run_id, record_kind, record_id) do update set reason = excluded.reason, detail = excluded.detail
