-- The purchases of all customers. No parameters.
create temp view purchase as
select * from purchase_half -- noqa: AM04
where half = 0
union all
select * from purchase_half
where half = 1
