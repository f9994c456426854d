-- Name every record that was skipped or failed, and why; a problem that an earlier run named is known.
-- Parameters: run_id, business_date, newer_than.
insert into crm.run_item (run_id, record_kind, record_id, outcome, reason, detail)
with invalid_invoice as (
    select
        customer_id,
        invoice_id,
        code,
        case
            when issued_on is null or issued_on = '-infinity' then 'sem data'
            when value is null or value = 'NaN' then 'sem valor'
            when value < 0 then 'valor negativo'
            else 'valor grande demais'
        end as problem
    from erp.invoice
    where
        customer_id = any(array(select customer_id from compared where finding = 'invalid_invoice'))
        and cancelled_at is null
        and (
            issued_on is null
            or issued_on = '-infinity'
            or (issued_on <= %(business_date)s and (value is null or value < 0 or value >= 1000000000000))
        )
),

problem as (
    select
        customer_id,
        (array_agg('nota ' || code || ': ' || problem order by invoice_id))[1]
        || case when count(*) > 1 then ', e mais ' || count(*) - 1 else '' end as detail
    from invalid_invoice
    group by customer_id
),

invalid_account as (
    select
        c.account_id,
        coalesce(p.detail, 'o total das notas é grande demais') as detail
    from compared as c
    left join problem as p on c.customer_id = p.customer_id
    where c.finding = 'invalid_invoice'
)

select
    %(run_id)s,
    'account',
    a.account_id::text,
    case when known.record_id is null then 'failed' else 'skipped' end,
    case when known.record_id is null then 'invalid_invoice' else 'known_problem' end,
    a.detail
from invalid_account as a
left join crm.account_data_problem as known
    on known.record_kind = 'account' and a.account_id = known.record_id and a.detail = known.detail
union all
select
    %(run_id)s,
    'account',
    account_id::text,
    'skipped',
    finding,
    case
        when finding = 'newer_data'
            then 'dados de ' || to_char(greatest(old_as_of_on, %(newer_than)s::date), 'DD/MM/YYYY')
    end
from compared
where finding in ('newer_data', 'not_linked')
union all
select
    %(run_id)s,
    'invoice',
    invoice_id::text,
    case when known then 'skipped' else 'failed' end,
    case when known then 'known_problem' else 'invoice_without_customer' end,
    'nota ' || code || coalesce(': cliente ' || customer_id || ' não existe', '')
from orphan_invoice
