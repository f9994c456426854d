-- Take in the file of the earlier batch. No parameters.
copy earlier_line (line) from stdin (header)
