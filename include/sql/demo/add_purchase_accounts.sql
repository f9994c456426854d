-- An account for each of the customers that has none. No parameters.
insert into crm.account (kind, name, erp_customer_id)
select
    customer.kind,
    customer.name,
    customer.customer_id
from erp.customer as customer
where
    customer.customer_id in (select line.customer_id from purchase_line as line)
    and not exists (select from crm.account as account where account.erp_customer_id = customer.customer_id)
order by customer.customer_id
