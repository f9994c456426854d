-- Give the accounts to their new owners. When people last changed an account stays as it is.
-- No parameters.
update crm.account as a
set owner_login = t.owner_after
from transfer as t
where a.id = t.account_id
