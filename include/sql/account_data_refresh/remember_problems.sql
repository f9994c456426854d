-- Keep what could not be used, so that the next run looks at it again, and forget what has been mended: the
-- problems of accounts that were looked at and are well, and, in a run over all accounts, those of invoices.
-- Parameters: run_id, business_date, audience_id.
with problem as (
    select
        record_kind,
        record_id::bigint as record_id,
        detail
    from crm.run_item
    where
        run_id = %(run_id)s
        and reason in ('invalid_invoice', 'invoice_without_customer', 'known_problem')
),

mended as (
    delete from crm.account_data_problem as old
    where
        (
            (old.record_kind = 'invoice' and %(audience_id)s::bigint is null)
            or (
                old.record_kind = 'account'
                and exists (select from selection as s where s.account_id = old.record_id)
            )
        )
        and not exists (
            select from problem as p
            where p.record_kind = old.record_kind and p.record_id = old.record_id
        )
        and not exists (
            select from compared as c
            where c.finding = 'newer_data' and old.record_kind = 'account' and c.account_id = old.record_id
        )
)

insert into crm.account_data_problem as old (record_kind, record_id, detail, first_run_id, first_seen_on)
select
    record_kind,
    record_id,
    detail,
    %(run_id)s,
    %(business_date)s
from problem
on conflict (record_kind, record_id) do update
    set
        detail = excluded.detail,
        first_run_id = excluded.first_run_id,
        first_seen_on = excluded.first_seen_on
    where old.detail <> excluded.detail
