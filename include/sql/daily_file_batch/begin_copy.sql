-- See what another transaction sees, and write dates as the files have them. Several sessions copy at the
-- same time, each in one process. Parameter: snapshot.
set transaction snapshot %(snapshot)s; -- noqa: PRS
set local datestyle = 'SQL, DMY';
set local work_mem = '128MB';
set local jit = off;
set local max_parallel_workers_per_gather = 0;
