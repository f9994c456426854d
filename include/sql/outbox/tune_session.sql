-- Settings of this transaction for statements over many short rows. No parameters.
set local work_mem = '256MB';
set local jit = off;
