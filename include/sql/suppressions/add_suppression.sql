-- An address that gets no messages, because its owner or a person says so. One that is there already keeps
-- its first reason, but for a hard bounce: an address may exist again one day, a decision stands until it is
-- taken back. Parameters: channel, address, reason, source.
insert into crm.suppression as s (channel, address, reason, source)
values (%(channel)s, %(address)s, %(reason)s, %(source)s)
on conflict (channel, address) do update
    set reason = excluded.reason, source = excluded.source, created_at = excluded.created_at
    where s.reason = 'hard_bounce' and excluded.reason <> 'hard_bounce'
