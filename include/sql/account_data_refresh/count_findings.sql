-- What was found, counted. No parameters.
select
    (select count(*) from selection) as accounts,
    count(*) filter (where finding = 'changed') as changed,
    count(*) filter (where finding = 'unchanged') as unchanged,
    count(*) filter (where finding in ('not_linked', 'newer_data', 'known_problem')) as skipped,
    count(*) filter (where finding = 'invalid_invoice') as failed,
    (select count(*) from orphan_invoice where known) as known_orphans,
    (select count(*) from orphan_invoice where not known) as new_orphans
from compared
