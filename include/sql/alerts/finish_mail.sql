-- What came of an e-mail: sent, unknown, or pending when it was surely not sent. Parameters: alert_ids,
-- recovery_ids, status.
update crm.alert
set
    mail_status = case when id = any(%(alert_ids)s::bigint[]) then %(status)s else mail_status end,
    mailed_at = case
        when id = any(%(alert_ids)s::bigint[]) and %(status)s = 'sent' then clock_timestamp() else mailed_at
    end,
    recovery_status = case
        when id = any(%(recovery_ids)s::bigint[]) then %(status)s else recovery_status
    end,
    recovery_mailed_at = case
        when id = any(%(recovery_ids)s::bigint[]) and %(status)s = 'sent' then clock_timestamp()
        else recovery_mailed_at
    end
where id = any(%(alert_ids)s::bigint[] || %(recovery_ids)s::bigint[])
