-- Send windows of a gateway; 24:00 closes at the end of the day.
-- Parameters: gateway_id, days, opens_at, closes_at.
insert into crm.send_window (gateway_id, day, opens_at, closes_at)
select
    %(gateway_id)s,
    given.day,
    given.opens_at::time,
    given.closes_at::time
from unnest(%(days)s::text[], %(opens_at)s::text[], %(closes_at)s::text[]) as given (day, opens_at, closes_at)
