-- Set the status of the accounts that change, and write down why. When people last changed an account stays
-- as it is. Parameters: business_date, source, run_id.
with written as (
    update crm.account as a
    set status = c.to_status
    from change as c
    where a.id = c.account_id
)

insert into crm.account_status_change (
    account_id, changed_on, from_status, to_status, source, reason, reason_on, run_id
)
select
    account_id,
    %(business_date)s,
    from_status,
    to_status,
    %(source)s,
    reason,
    reason_on,
    %(run_id)s
from change
