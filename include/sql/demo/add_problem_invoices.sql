-- Three invoices that no routine can use: without a customer, with a negative value, without a value.
-- Parameters: business_date, account_id (whose customer gets two of them), last_invoice_id, code_offset.
insert into erp.invoice (invoice_id, code, customer_id, issued_on, value, updated_at)
select
    %(last_invoice_id)s + problem.number as invoice_id,
    %(code_offset)s + %(last_invoice_id)s + problem.number as code,
    case when problem.has_customer then account.erp_customer_id end as customer_id,
    %(business_date)s::date as issued_on,
    problem.value,
    (%(business_date)s::date + time '20:30') at time zone 'America/Sao_Paulo' as updated_at
from crm.account as account
cross join
    (values (1, false, 100.00), (2, true, -50.00), (3, true, null)) as problem (number, has_customer, value)
where account.id = %(account_id)s
