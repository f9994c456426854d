-- An audience as it stands, for who changes or deletes it; nobody begins to use it meanwhile.
-- Parameter: name.
select
    id,
    filter
from crm.audience
where name = %(name)s
for update
