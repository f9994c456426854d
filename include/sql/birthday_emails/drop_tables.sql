-- What the next run in this transaction makes anew. No parameters.
drop table birthday
