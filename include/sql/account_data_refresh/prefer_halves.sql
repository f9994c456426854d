-- Read each half in a process of its own: the planner does so only where it cannot share a table among
-- processes. No parameters.
set local min_parallel_table_scan_size = '716800MB';
