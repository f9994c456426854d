-- The accounts that this run looks at: all of them. A view, so that nothing is copied. No parameters.
create temp view selection as
select
    id as account_id,
    erp_customer_id as customer_id
from crm.account
