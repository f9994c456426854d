-- How many lines of each feed differ. No parameters.
select
    feed,
    count(*) filter (where in_new) as added,
    count(*) filter (where not in_new) as removed
from touched
group by feed
