-- The accounts of a day's birthdays and nothing else. Parameter: birthdays.
select
    id,
    name,
    email,
    birth_on
from crm.account
where
    (extract(month from birth_on) * 100 + extract(day from birth_on))::integer = any(%(birthdays)s::integer[])
    and kind = 'person'
    and active
