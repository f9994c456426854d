-- What becomes of each outgoing message, and why: no outcome means that it can be written, with the id that
-- it gets here, the payload that is made of its template, and its place in outgoing, where a payload of the
-- producer's stays. Blanks within a variable become one space: gateways take no line breaks in them. Keys are
-- looked up one by one: the cost does not grow with those ever written.
-- Parameters: email_kinds, now, list_unwritten (those that could be written are skipped, to be named).
create temp table checked on commit drop as
with cleaned as materialized (
    select
        o.*,
        o.ctid as place,
        g.id as to_gateway_id,
        g.code as gateway_code,
        g.active as gateway_active,
        g.payload_limit,
        coalesce(t.code, o.template_id::text) as template_code,
        (t.active and t.status = 'approved') as template_usable,
        t.gateway_template_id,
        t.variables as names,
        case when g.kind = any(%(email_kinds)s) then 'email' else 'phone' end as channel,
        case
            when g.kind = any(%(email_kinds)s) then lower(trim(o.recipient))
            else trim(o.recipient)
        end as address,
        array(
            select nullif(trim(regexp_replace(u.value, '\s+', ' ', 'g')), '')
            from unnest(o.variables) as u (value)
        ) as filled
    from outgoing as o
    left join crm.message_template as t on o.template_id = t.id
    left join crm.gateway as g on coalesce(t.gateway_id, o.gateway_id) = g.id
),

composed as materialized (
    select
        c.*,
        (select k.message_id from crm.message_key as k where k.dedupe_key = c.dedupe_key) as written_id,
        case
            when c.template_id is not null
                then jsonb_build_object('template', c.gateway_template_id, 'variables', to_jsonb(c.filled))
        end as content
    from cleaned as c
),

judged as materialized (
    select
        c.*,
        case
            when c.reason = 'written_not_sent' then c.reason
            when c.written_id is not null then 'already_written'
            when c.outcome is not null then c.reason
            when c.template_id is not null and c.template_usable is not true then 'template_unusable'
            when c.gateway_active is not true then 'gateway_unusable'
            when s.reason = 'hard_bounce' then 'no_such_address'
            when s.address is not null then 'opted_out'
            when coalesce(c.address, '') = '' then 'no_' || c.channel
            when c.channel = 'phone' and c.address !~ '^\+[1-9][0-9]{7,14}$' then 'invalid_phone'
            when c.channel = 'email' and (
                length(c.address) > 254
                -- Domains with letters beyond ASCII have become A-labels before (RFC 5890).
                or c.address !~ '^[a-z0-9.!#$%%&''*+/=?^_`{|}~-]+@([a-z0-9-]+\.)+[a-z0-9-]+$'
            ) then 'invalid_email'
            when array_position(c.filled, null) is not null then 'missing_variable'
            when cardinality(c.filled) <> cardinality(c.names) then 'wrong_variables'
            when coalesce(c.payload_bytes, octet_length(c.content::text)) > c.payload_limit
                then 'payload_too_long'
            when c.expires_at <= coalesce(%(now)s, now()) then 'too_late'
            when %(list_unwritten)s then 'dry_run'
        end as finding
    from composed as c
    left join crm.suppression as s on c.channel = s.channel and c.address = s.address
)

select
    record_kind,
    record_id,
    dedupe_key,
    origin_key,
    to_gateway_id as gateway_id,
    template_id,
    account_id,
    customer_id,
    receivable_id,
    due_on,
    address as recipient,
    recipient_name,
    place,
    content as payload,
    priority,
    coalesce(send_after, %(now)s, now()) as send_after,
    expires_at,
    case
        when finding is null then nextval((select pg_get_serial_sequence('crm.message', 'id')::regclass))
    end as message_id,
    case
        when finding = 'already_written' then 'unchanged'
        when finding = reason then outcome
        when
            finding in ('opted_out', 'no_such_address', 'no_phone', 'no_email', 'too_late', 'dry_run')
            then 'skipped'
        when finding is not null then 'failed'
    end as outcome,
    finding as reason,
    nullif(concat_ws(': ', record_name, case finding
        when reason then detail
        when 'template_unusable' then template_code
        when 'gateway_unusable' then coalesce(gateway_code, gateway_id::text)
        when 'invalid_phone' then '…' || right(address, 4)
        when 'missing_variable' then names[array_position(filled, null)]
        when 'wrong_variables' then cardinality(filled) || ' em vez de ' || cardinality(names)
        when 'payload_too_long' then
            coalesce(payload_bytes, octet_length(content::text)) || ' bytes, o limite é ' || payload_limit
    end), '') as detail
from judged
