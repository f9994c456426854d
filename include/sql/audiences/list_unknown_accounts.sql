-- The first of some accounts that do not exist. Parameter: account_ids.
select wanted.account_id
from unnest(%(account_ids)s::bigint[]) as wanted (account_id)
where not exists (select from crm.account as a where a.id = wanted.account_id)
order by wanted.account_id
limit 10
