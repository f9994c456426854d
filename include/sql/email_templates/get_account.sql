-- What a preview says of an account. Parameter: account_id.
select
    name,
    email,
    birth_on
from crm.account
where id = %(account_id)s
