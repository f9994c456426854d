-- What the next action in this transaction makes anew. No parameters.
drop table selected_message
