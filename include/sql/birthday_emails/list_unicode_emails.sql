-- Of the persons of these birthdays the addresses with characters beyond ASCII, which may be spelt in another
-- way too. Parameter: birthdays (month * 100 + day).
select distinct email
from crm.account
where
    (extract(month from birth_on) * 100 + extract(day from birth_on))::integer = any(%(birthdays)s::integer[])
    and kind = 'person'
    and active
    and octet_length(email) <> length(email)
