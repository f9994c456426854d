-- Insert an e-mail template, or change the one of that name; returns its id.
-- Parameters: name, subject, preheader, html, text, company, active, login.
insert into crm.email_template (name, subject, preheader, html, text, company, active, updated_by)
values (
    %(name)s, %(subject)s, %(preheader)s, %(html)s, %(text)s, %(company)s, %(active)s, %(login)s
)
on conflict (name) do update
    set
        subject = excluded.subject,
        preheader = excluded.preheader,
        html = excluded.html,
        text = excluded.text,
        company = excluded.company,
        active = excluded.active,
        updated_at = now(),
        updated_by = excluded.updated_by
returning id
