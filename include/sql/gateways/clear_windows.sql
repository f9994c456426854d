-- Take a gateway's send windows away. Parameter: gateway_id.
delete from crm.send_window where gateway_id = %(gateway_id)s
