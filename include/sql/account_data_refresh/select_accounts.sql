-- The accounts that this run looks at: those of changed customers and those that are due, or all; of an
-- audience only its own. Parameters: everything, audience_id.
create temp table selection on commit drop as
select
    a.id as account_id,
    a.erp_customer_id as customer_id
from crm.account as a
where
    (
        %(everything)s
        or a.erp_customer_id = any(array(select customer_id from changed_customer))
        or a.id = any(array(
            select account_id from crm.account_data_due
            union
            select record_id from crm.account_data_problem where record_kind = 'account'
        ))
    )
    and (
        %(audience_id)s::bigint is null
        or a.id in (select account_id from crm.audience_account where audience_id = %(audience_id)s)
    )
