-- The users of a profile who left: they get no digest, and are named. Parameters: gateway_id, run_id.
insert into outgoing (
    record_kind,
    record_id,
    dedupe_key,
    origin_key,
    gateway_id,
    payload,
    payload_bytes,
    outcome,
    reason,
    detail
)
select
    'user' as record_kind,
    n.login as record_id,
    'inactivity:' || %(run_id)s || ':' || n.login as dedupe_key,
    n.login as origin_key,
    %(gateway_id)s,
    '{}',
    2,
    'skipped',
    'user_left',
    string_agg(distinct p.name, ', ')
from notice as n
inner join profile as p on n.profile_id = p.id
where not n.reachable
group by n.login
