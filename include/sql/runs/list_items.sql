-- The first records that a run failed or skipped, failed ones first. Parameters: run_id, most.
select record_kind, record_id, outcome, reason, detail
from crm.run_item
where run_id = %(run_id)s
order by outcome, record_kind, length(record_id), record_id
limit %(most)s
