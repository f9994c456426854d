-- Take back the view of all purchases (a temporary table ends with the transaction, a view does not). No
-- parameters.
drop view purchase, purchase_half
