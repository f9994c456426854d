-- How many accounts the profiles look at. Parameter: ends_at.
select count(*)
from crm.account as a
where
    a.active
    and a.created_at < %(ends_at)s
    and (
        exists (select from profile where audience_id is null)
        or a.id in (select s.account_id from audience_member as s)
    )
