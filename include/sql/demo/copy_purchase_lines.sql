-- Lines of a purchase file. No parameters.
copy purchase_line (line_number, code, customer_id, customer_name, purchased_on, value) from stdin
