-- Another step with the same days and template. Parameters: name, days, template_id.
select name
from crm.dunning_step
where days = %(days)s and template_id = %(template_id)s and name <> %(name)s
