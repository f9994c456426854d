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
        when r.payload is null and b.reason is not null then 'skipped'
    end,
    case
        when r.problem is not null then 'render_failed'
        when r.payload is null then b.reason
    end,
    case
        when r.problem is not null then r.problem
        when r.payload is not null then null
        when b.reason = 'same_address' then 'conta ' || coalesce(g.account_id, b.greeted_id)
        else b.detail
    end
from birthday as b
left join rendered as r on b.account_id = r.account_id
-- The account of the same address that was rendered, where it is not the first.
left join rendered as g on b.reason = 'same_address' and b.greeted_id = g.greeted_id and g.payload is not null
