-- Put accounts on the list of an audience that are not on it yet. Parameters: audience_id, account_ids.
insert into crm.audience_account (audience_id, account_id)
select
    %(audience_id)s,
    wanted.account_id
from unnest(%(account_ids)s::bigint[]) as wanted (account_id)
on conflict do nothing
