-- Name every record that was skipped or failed, and why. Parameters: run_id, newer_than.
insert into crm.run_item (run_id, record_kind, record_id, outcome, reason, detail)
select
    %(run_id)s,
    'account',
    c.account_id::text,
    case c.finding when 'invalid_invoice' then 'failed' else 'skipped' end,
    c.finding,
    case
        when c.finding = 'newer_data'
            then 'dados de ' || to_char(greatest(old.as_of_on, %(newer_than)s::date), 'DD/MM/YYYY')
        when c.finding in ('invalid_invoice', 'known_problem')
            then
                'nota ' || bad.code || ': ' || bad.problem
                || case when bad.invoices > 1 then ', e mais ' || bad.invoices - 1 else '' end
    end
from compared as c
left join crm.account_supplementary as old on c.account_id = old.account_id
left join invalid_invoice as bad on c.customer_id = bad.customer_id
where c.finding not in ('changed', 'unchanged')
union all
select
    %(run_id)s,
    'invoice',
    o.invoice_id::text,
    case when o.known then 'skipped' else 'failed' end,
    case when o.known then 'known_problem' else 'invoice_without_customer' end,
    'nota ' || o.code
    || case when o.customer_id is null then '' else ': cliente ' || o.customer_id || ' não existe' end
from orphan_invoice as o
