-- A message for every account of the day that was not to be rendered: it has its greeting already, or gets
-- none. Parameters: gateway_id, expires_at.
insert into outgoing (
    record_kind,
    record_id,
    dedupe_key,
    origin_key,
    gateway_id,
    payload,
    payload_bytes,
    recipient,
    recipient_name,
    account_id,
    expires_at,
    outcome,
    reason,
    detail
)
-- The account that is greeted for an address, where it is not the first of it.
with greeted as (
    select
        b.greeted_id,
        b.account_id
    from birthday as b
    inner join outgoing as o on b.account_id = o.account_id
    where o.outcome is null and b.reason = 'same_address'
)

select
    'account',
    b.account_id::text,
    b.dedupe_key,
    b.account_id::text,
    %(gateway_id)s,
    '{}',
    2,
    b.email,
    b.name,
    b.account_id,
    %(expires_at)s,
    case when b.reason is not null then 'skipped' end,
    b.reason,
    case
        when b.reason = 'same_address' then 'conta ' || coalesce(g.account_id, b.greeted_id)
        else b.detail
    end
from birthday as b
left join outgoing as o on b.account_id = o.account_id
left join greeted as g on b.reason = 'same_address' and b.greeted_id = g.greeted_id
where o.account_id is null
