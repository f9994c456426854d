-- Give the selected messages their places, in the order of ids, before or behind all that is pending with the
-- same gateway and priority. Parameters: ids, front.
with wanted as (
    select
        s.id,
        s.gateway_id,
        s.priority,
        row_number() over (partition by s.gateway_id, s.priority order by o.number) as number,
        count(*) over (partition by s.gateway_id, s.priority) as messages
    from selected_message as s
    inner join unnest(%(ids)s::bigint[]) with ordinality as o (id, number) on s.id = o.id
),

pending as (
    select
        gateway_id,
        priority,
        position
    from crm.message
    where status = 'waiting' and ready
    union all
    select
        gateway_id,
        priority,
        position
    from crm.message
    where status in ('waiting', 'held') and not ready
),

edge as (
    select
        gateway_id,
        priority,
        min(position) as first,
        max(position) as last
    from pending
    where gateway_id in (select gateway_id from wanted)
    group by gateway_id, priority
)

update selected_message as s
set
    position = case
        when %(front)s then coalesce(e.first, 0) - w.messages + w.number - 1
        else coalesce(e.last, 0) + w.number
    end
from wanted as w
left join edge as e on w.gateway_id = e.gateway_id and w.priority = e.priority
where s.id = w.id
