-- A message for every open signature request of the days up to the business date, with the variables in the
-- order of the template. Parameters: template_id, business_date, first_on, timezone, valid_days, priority.
insert into outgoing (
    record_kind,
    record_id,
    dedupe_key,
    origin_key,
    template_id,
    variables,
    recipient,
    recipient_name,
    account_id,
    customer_id,
    priority,
    expires_at,
    outcome,
    reason,
    detail
)
with request as (
    select
        r.*,
        c.kind,
        c.name,
        c.phone,
        case when c.kind = 'company' then c.name else substring(c.name, '\S+') end as first_name,
        c.customer_id is null as customer_missing
    from erp.signature_request as r
    left join erp.customer as c on r.customer_id = c.customer_id
    where
        r.requested_at >= %(first_on)s::timestamp at time zone %(timezone)s
        and r.requested_at < (%(business_date)s::date + 1)::timestamp at time zone %(timezone)s
        and r.signed_at is null
        and r.cancelled_at is null
)

select
    'signature_request',
    r.signature_request_id::text,
    'signature:' || r.signature_request_id,
    r.signature_request_id::text,
    t.id as template_id,
    array(
        select
            case v.name
                when 'customer_name' then r.name
                when 'first_name'
                    then case
                        when
                            r.kind = 'person' and r.first_name in (upper(r.first_name), lower(r.first_name))
                            then initcap(r.first_name)
                        else r.first_name
                    end
                when 'link' then r.link
                when 'expires_on' then to_char(r.expires_at at time zone %(timezone)s, 'DD/MM/YYYY')
            end
        from unnest(t.variables) as v (name)
    ),
    r.phone,
    r.name,
    a.id as account_id,
    r.customer_id,
    %(priority)s,
    coalesce(
        r.expires_at, (%(business_date)s::date + 1 + %(valid_days)s)::timestamp at time zone %(timezone)s
    ),
    case when r.customer_missing then 'failed' end,
    case when r.customer_missing then 'customer_missing' end,
    case when r.customer_missing then 'cliente ' || r.customer_id end
from request as r
inner join crm.message_template as t on t.id = %(template_id)s
left join crm.account as a on r.customer_id = a.erp_customer_id
