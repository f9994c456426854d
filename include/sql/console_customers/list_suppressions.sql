-- Which of some addresses get no messages, and why. Parameters: channels, addresses (by position).
select
    s.channel,
    s.address,
    s.reason,
    s.source,
    s.created_at
from crm.suppression as s
inner join unnest(%(channels)s::text[], %(addresses)s::text[]) as a (channel, address)
    on s.channel = a.channel and s.address = a.address
