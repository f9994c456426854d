-- Pause a gateway whose settings are wrong, until a person resumes it; name it in the run.
-- Parameters: gateway_id, reason, run_id.
with paused as (
    update crm.gateway
    set paused_at = clock_timestamp(), paused_by = 'queue_dispatch', pause_reason = %(reason)s::text
    where id = %(gateway_id)s and paused_at is null
    returning code
),

audited as (
    insert into crm.audit_entry (login, action, target, details, records)
    select
        'queue_dispatch',
        'pause',
        jsonb_build_object('gateway', code),
        jsonb_build_object('reason', %(reason)s::text),
        1
    from paused
)

insert into crm.run_item (run_id, record_kind, record_id, outcome, reason, detail)
select
    %(run_id)s::bigint,
    'gateway',
    code,
    'failed',
    'gateway_paused',
    %(reason)s::text
from paused
where %(run_id)s::bigint is not null
on conflict do nothing
