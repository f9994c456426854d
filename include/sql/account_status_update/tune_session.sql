-- Memory for the hashes of this transaction, and reading shared among processes. No parameters.
set local work_mem = '256MB';
set local hash_mem_multiplier = 1;
set local jit = off;
set local parallel_setup_cost = 0;
set local parallel_tuple_cost = 0;
