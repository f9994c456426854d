-- How many accounts were found, and what came of them. No parameters.
select
    count(*) as found,
    count(reason) as skipped,
    count(*) filter (where transferred and reason is null) as transferred,
    count(*) filter (where owner_left) as owner_left
from judged
