-- An account with its class and supplementary data, as of a day. Parameters: account_id, today.
select
    a.id,
    a.kind,
    a.name,
    a.document,
    a.email,
    a.phone,
    a.birth_on,
    a.active,
    a.erp_customer_id,
    a.status,
    a.owner_login,
    a.created_at,
    a.updated_at,
    c.name as class_name,
    u.name as owner_name,
    coalesce(u.active, false) as owner_active,
    s.first_purchase_date,
    s.first_purchase_value,
    s.last_purchase_date,
    s.last_purchase_value,
    s.accumulated_value,
    s.purchase_count,
    s.last_quote_date,
    s.last_invoice_code,
    s.as_of_on,
    case
        when isfinite(s.last_purchase_date) and s.last_purchase_date <= %(today)s::date
            then %(today)s::date - s.last_purchase_date
    end as days_since_last_purchase,
    r.refreshed_through_on,
    e.reason as exception_reason,
    e.until_on as exception_until_on
from crm.account as a
left join crm.account_class as c on a.class_id = c.id
left join crm.app_user as u on a.owner_login = u.login
left join crm.account_supplementary as s on a.id = s.account_id
left join crm.account_data_state as r on true
left join crm.dunning_exception as e
    on a.erp_customer_id = e.customer_id and coalesce(e.until_on >= %(today)s::date, true)
where a.id = %(account_id)s
