-- Which of some names is no class of accounts. Parameter: names.
select wanted.name
from unnest(%(names)s::text[]) as wanted (name)
where not exists (select from crm.account_class as c where c.name = wanted.name)
order by wanted.name
