-- So that a transaction may import several files. No parameters.
drop table purchase_line
