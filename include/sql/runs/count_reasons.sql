-- How many records a run skipped or failed, by reason. Parameter: run_id.
select outcome, reason, record_kind, count(*) as records
from crm.run_item
where run_id = %(run_id)s
group by outcome, reason, record_kind
order by outcome asc, records desc, reason asc
