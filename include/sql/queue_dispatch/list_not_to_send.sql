-- Of claimed messages, those whose recipient opted out after they were written.
-- Parameters: message_ids, channel.
select m.id
from crm.message as m
inner join crm.suppression as s on s.channel = %(channel)s and lower(m.recipient) = s.address
where m.id = any(%(message_ids)s::bigint[])
