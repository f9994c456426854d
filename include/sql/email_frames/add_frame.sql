-- Store a frame; the key of the one that somebody else stored meanwhile. Parameters: sha256, html.
insert into crm.email_frame (sha256, html)
values (%(sha256)s, %(html)s)
on conflict (sha256) do update set sha256 = excluded.sha256
returning id
