-- Memory for the sorts and hashes of this transaction. No parameters.
set local work_mem = '512MB';
set local hash_mem_multiplier = 1;
set local jit = off;
