-- The lines of a file of the earlier batch and of the new one. No parameters.
create temp table earlier_line (line text) on commit drop;
create temp table new_line (line text) on commit drop;
