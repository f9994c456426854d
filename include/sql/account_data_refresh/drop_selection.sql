-- Take back the view of all accounts (a temporary table ends with the transaction, a view does not). No
-- parameters.
drop view selection
