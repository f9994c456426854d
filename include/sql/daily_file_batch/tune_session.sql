-- Memory for the sorts and joins of this transaction; and few rows come out of what reads many, which the
-- planner cannot know when it decides whether to share the work between processes. No parameters.
set local work_mem = '128MB';
set local jit = off;
set local parallel_tuple_cost = 0;
