-- A message for every account of the day. Parameters: gateway_id, expires_at.
insert into outgoing (
    record_kind,
    record_id,
    dedupe_key,
    origin_key,
    gateway_id,
    payload,
    recipient,
    recipient_name,
    account_id,
    expires_at,
    outcome,
    reason,
    detail
)
select
    'account',
    b.account_id::text,
    b.dedupe_key,
    b.account_id::text,
    %(gateway_id)s,
    coalesce(r.payload, '{}'),
    b.email,
    b.name,
    b.account_id,
    %(expires_at)s,
    case
        when r.problem is not null then 'failed'
        when b.reason is not null then 'skipped'
    end,
    case when r.problem is not null then 'render_failed' else b.reason end,
    case
        when r.problem is not null then r.problem
        when b.reason = 'same_address' then 'conta ' || b.greeted_id
        else b.detail
    end
from birthday as b
left join rendered as r on b.account_id = r.account_id
