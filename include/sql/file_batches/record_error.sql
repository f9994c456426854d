-- Write down what went wrong with the delivery of a batch. Parameters: batch_id, error.
update crm.file_batch
set error = %(error)s
where id = %(batch_id)s
