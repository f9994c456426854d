-- An address that gets no messages; one that is there already keeps its first reason.
-- Parameters: channel, address, reason, source.
insert into crm.suppression (channel, address, reason, source)
values (%(channel)s, %(address)s, %(reason)s, %(source)s)
on conflict (channel, address) do nothing
