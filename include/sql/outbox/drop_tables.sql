-- What the next producer in this transaction makes anew. No parameters.
drop table outgoing, checked
