-- Room for the next comparison. No parameters.
drop table touched
