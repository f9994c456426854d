-- Name every record that was skipped or failed, and why; a problem that an earlier run named is known.
-- Parameters: run_id, business_date, newer_than.
insert into crm.run_item (run_id, record_kind, record_id, outcome, reason, detail)
with invalid_invoice as (
    select
        customer_id,
        count(*) as invoices,
        (array_agg(code order by invoice_id))[1] as code,
        (array_agg(
            case
                when issued_on is null then 'sem data' when value is null then 'sem valor' else
                    'valor negativo'
            end
            order by invoice_id
        ))[1] as problem
    from erp.invoice
    where
        customer_id = any(array(select customer_id from compared where finding = 'invalid_invoice'))
        and cancelled_at is null
        and (issued_on is null or (issued_on <= %(business_date)s and (value is null or value < 0)))
    group by customer_id
)

select
    %(run_id)s,
    'account',
    c.account_id::text,
    case when c.finding = 'invalid_invoice' and known.record_id is null then 'failed' else 'skipped' end,
    case
        when c.finding = 'invalid_invoice' and known.record_id is not null then 'known_problem' else c.finding
    end,
    case
    c.finding
        when
            'newer_data'
            then 'dados de ' || to_char(greatest(c.old_as_of_on, %(newer_than)s::date), 'DD/MM/YYYY')
        when 'invalid_invoice'
            then
                'nota ' || bad.code || ': ' || bad.problem
                || case when bad.invoices > 1 then ', e mais ' || bad.invoices - 1 else '' end
    end
from compared as c
left join invalid_invoice as bad on c.finding = 'invalid_invoice' and c.customer_id = bad.customer_id
left join crm.account_data_problem as known
    on c.finding = 'invalid_invoice' and known.record_kind = 'account' and c.account_id = known.record_id
where c.finding in ('invalid_invoice', 'newer_data', 'not_linked')
union all
select
    %(run_id)s,
    'invoice',
    o.invoice_id::text,
    case when o.known then 'skipped' else 'failed' end,
    case when o.known then 'known_problem' else 'invoice_without_customer' end,
    'nota '
    || o.code
    || case when o.customer_id is null then '' else ': cliente ' || o.customer_id || ' não existe' end
from orphan_invoice as o
