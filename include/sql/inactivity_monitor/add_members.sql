-- The accounts of the profiles' audiences. No parameters.
insert into profile_member (profile_id, account_id)
select
    p.id,
    s.account_id
from profile as p
inner join crm.audience_account as s on p.audience_id = s.audience_id
