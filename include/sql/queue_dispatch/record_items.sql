-- Name what this run did not send: failed, unknown, held and settled messages, by their last attempt in it.
-- Parameter: run_id.
insert into crm.run_item (run_id, record_kind, record_id, outcome, reason, detail)
select
    %(run_id)s,
    'message',
    last.message_id::text,
    case
        when last.outcome in ('in_attendance', 'receivable_missing', 'settled', 'suppressed') then 'skipped'
        else 'failed'
    end,
    coalesce(last.outcome, 'interrupted'),
    last.error
from (
    select distinct on (message_id)
        message_id,
        outcome,
        error
    from crm.message_attempt
    where run_id = %(run_id)s
    order by message_id asc, number desc
) as last
left join crm.message as m on last.message_id = m.id
where
    last.outcome is null
    or last.outcome in ('maybe_sent', 'rejected', 'opted_out', 'no_such_address')
    or last.outcome in ('in_attendance', 'receivable_missing', 'settled', 'suppressed')
    or (last.outcome = 'deferred' and m.status = 'failed')
on conflict (run_id, record_kind, record_id) do update
    set outcome = excluded.outcome, reason = excluded.reason, detail = excluded.detail
