-- Receivables that are still to be paid. Parameter: number.
insert into erp.receivable (receivable_id, code, customer_id, due_on, value, updated_at)
select
    n,
    n || '/1',
    n,
    date '2026-11-20',
    129.90,
    now()
from generate_series(1, %(number)s) as n
