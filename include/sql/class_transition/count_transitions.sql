-- The accounts that a rule asks to move, and what becomes of them. No parameters.
select
    count(*) as selected,
    count(*) filter (where finding = 'move') as changed,
    count(*) filter (where finding = 'moved') as unchanged,
    count(*) filter (where finding not in ('move', 'moved')) as skipped
from transition
