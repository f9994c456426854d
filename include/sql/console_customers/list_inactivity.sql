-- When monitoring profiles found an account without movement, newest first, and who got it. Parameters:
-- account_id, most.
select
    i.found_on,
    i.last_movement_at,
    i.last_process,
    i.owner_before,
    i.owner_after,
    i.transferred,
    i.notified,
    i.run_id,
    p.name as profile
from crm.inactive_account as i
left join crm.monitoring_profile as p on i.profile_id = p.id
where i.account_id = %(account_id)s
order by i.found_on desc, i.id desc
limit %(most)s
