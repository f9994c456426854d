-- The due accounts have been looked at; those left alone because their data are newer must be looked at
-- again, since the ERP's changes will count as seen. No parameters.
with settled as (
    delete from crm.account_data_due
    where
        account_id in (select account_id from selection)
        and account_id not in (select account_id from compared where finding = 'newer_data')
)

insert into crm.account_data_due (account_id)
select account_id from compared
where finding = 'newer_data'
on conflict do nothing
