-- Keep what could not be used, so that the next run looks at it again, and forget what has been mended.
-- Parameters: run_id, business_date, audience_id.
with problem as (
    select 'account' as record_kind, account_id as record_id, 'invalid_invoice' as reason
    from compared
    where finding in ('invalid_invoice', 'known_problem')
    union all
    select 'invoice', invoice_id, 'invoice_without_customer' from orphan_invoice
),

mended as (
    delete from crm.account_data_problem as old
    where
        (
            (old.record_kind = 'invoice' and %(audience_id)s::bigint is null)
            or (
                old.record_kind = 'account'
                and old.record_id in (select account_id from compared where finding <> 'newer_data')
            )
        )
        and (old.record_kind, old.record_id) not in (select record_kind, record_id from problem)
)

insert into crm.account_data_problem (record_kind, record_id, reason, first_run_id, first_seen_on)
select record_kind, record_id, reason, %(run_id)s, %(business_date)s from problem
on conflict do nothing
