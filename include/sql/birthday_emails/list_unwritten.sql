-- Whose e-mail is still to be rendered. No parameters.
select
    account_id,
    name,
    email,
    birth_on
from birthday
where not written and reason is null and email is not null
order by account_id
