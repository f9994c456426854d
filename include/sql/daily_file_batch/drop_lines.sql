-- Room for the lines of the next file. No parameters.
drop table earlier_line, new_line
