-- Which receivables are still to be paid. Parameter: receivable_ids.
select receivable_id
from erp.receivable
where receivable_id = any(%(receivable_ids)s::bigint[]) and paid_at is null and cancelled_at is null
