-- Back to the planner's own judgement. No parameters.
set local enable_indexscan to default;
set local enable_indexonlyscan to default;
set local enable_bitmapscan to default;
set local parallel_setup_cost to default;
set local parallel_tuple_cost to default;
set local min_parallel_table_scan_size to default;
