-- Pause the templates that a gateway no longer lists, or lists with another number of places; returns them.
-- Parameters: gateway_id, ids and places (what the gateway lists; places null = its text cannot be read).
with compared as (
    select
        template.id,
        case
            when given.id is null then 'the gateway no longer has it'
            else
                'the text of the gateway has '
                || coalesce(given.places::text, 'unreadable')
                || ' places, ours '
                || cardinality(template.variables)
        end as problem
    from crm.message_template as template
    left join unnest(%(ids)s::text[], %(places)s::int[]) as given (id, places)
        on template.gateway_template_id = given.id
    where
        template.gateway_id = %(gateway_id)s
        and template.status in ('approved', 'pending')
        and given.places is distinct from cardinality(template.variables)
)

update crm.message_template as template
set status = 'paused'
from compared
where template.id = compared.id
returning template.code, compared.problem
