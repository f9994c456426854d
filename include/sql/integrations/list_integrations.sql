-- All integrations. No parameters.
select
    code,
    name,
    active,
    settings
from crm.integration
