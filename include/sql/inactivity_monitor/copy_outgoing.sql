-- Take the digests that were written. No parameters.
copy outgoing (
    record_kind,
    record_id,
    dedupe_key,
    origin_key,
    gateway_id,
    payload,
    payload_bytes,
    recipient,
    recipient_name
)
from stdin
