-- Whose e-mail is still to be rendered: the accounts of an address one after the other, the lowest first.
-- No parameters.
select
    account_id,
    greeted_id,
    name,
    email,
    birth_on,
    dedupe_key
from birthday
where in_line and (reason is null or reason = 'same_address')
order by greeted_id, account_id
