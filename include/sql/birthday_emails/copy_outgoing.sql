-- Take the messages of the accounts whose e-mail was rendered, or could not be. No parameters.
copy outgoing (
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
from stdin
