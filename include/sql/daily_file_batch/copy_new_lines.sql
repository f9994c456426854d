-- Take in the file of the new batch. No parameters.
copy new_line (line) from stdin (header)
