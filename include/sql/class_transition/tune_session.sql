-- Memory for the join of this transaction. No parameters.
set local work_mem = '256MB';
set local jit = off;
