-- The accounts of an audience whose data were written count invoices that the refresh of all accounts has not
-- seen yet: it computes them anew, lest it add those once more. No parameters.
insert into crm.account_data_due (account_id)
select account_id from compared
where finding = 'changed'
on conflict do nothing
