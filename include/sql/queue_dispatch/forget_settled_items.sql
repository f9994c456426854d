-- Take back the names of messages that were given up as interrupted and turned out to be sent.
-- Parameter: run_id.
delete from crm.run_item as i
where
    i.run_id = %(run_id)s
    and i.record_kind = 'message'
    and i.reason = 'interrupted'
    and exists (
        select from crm.message as m
        where m.id = i.record_id::bigint and m.status = 'sent'
    )
