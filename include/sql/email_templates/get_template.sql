-- The e-mail template of a name. Parameter: name.
select
    id,
    name,
    subject,
    preheader,
    html,
    text,
    company,
    active,
    updated_at,
    updated_by
from crm.email_template
where name = %(name)s
