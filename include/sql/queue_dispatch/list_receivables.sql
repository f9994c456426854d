-- Receivables as the ERP has them now. Parameter: receivable_ids.
select
    receivable_id,
    due_on,
    paid_at is not null or cancelled_at is not null as settled
from erp.receivable
where receivable_id = any(%(receivable_ids)s::bigint[])
