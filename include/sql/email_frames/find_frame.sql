-- The key of a frame. Parameter: sha256.
select id
from crm.email_frame
where sha256 = %(sha256)s
