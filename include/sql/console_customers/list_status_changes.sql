-- The changes of an account's status, newest first. Parameters: account_id, most.
select
    changed_on,
    from_status,
    to_status,
    source,
    reason,
    reason_on,
    run_id
from crm.account_status_change
where account_id = %(account_id)s
order by changed_on desc, id desc
limit %(most)s
