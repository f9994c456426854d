-- A row when the ERP has a customer. Parameter: customer_id.
select customer_id
from erp.customer
where customer_id = %(customer_id)s
