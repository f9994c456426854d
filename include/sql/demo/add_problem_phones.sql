-- Three phones that no message can go to, of customers who are reminded on the business date. No parameters.
with wrong as (
    update crm.account as account
    set phone = problem.phone
    from (values (5, '(11) 99999-0005'), (8, '+55 11'), (9, 'não tem')) as problem (account_id, phone)
    where account.id = problem.account_id
    returning account.erp_customer_id, account.phone
)

update erp.customer as customer
set phone = wrong.phone
from wrong
where customer.customer_id = wrong.erp_customer_id
