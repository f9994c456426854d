-- Accounts of persons, each with an address of its own, born in turns on so many days.
-- Parameters: number, first_on, days.
insert into crm.account (kind, name, email, birth_on)
select
    'person',
    'Cliente ' || n,
    'cliente' || lpad(n::text, 8, '0') || '@example.com',
    %(first_on)s::date + (n * 7919 %% %(days)s)::integer
from generate_series(1, %(number)s::bigint) as n
