-- Take an exception of the dunning schedule away. Parameter: customer_id.
delete from crm.dunning_exception where customer_id = %(customer_id)s
