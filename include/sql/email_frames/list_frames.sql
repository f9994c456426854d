-- The frames of some keys. Parameter: ids.
select
    id,
    html
from crm.email_frame
where id = any(%(ids)s::bigint[])
