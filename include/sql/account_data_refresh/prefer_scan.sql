-- Read whole tables and sort in parallel: an index walk over all invoices is several times slower.
-- No parameters.
set local enable_indexscan = off;
set local enable_indexonlyscan = off;
set local enable_bitmapscan = off;
set local parallel_setup_cost = 0;
set local parallel_tuple_cost = 0;
