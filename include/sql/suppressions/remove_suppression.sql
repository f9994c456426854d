-- Let an address get messages again. Parameters: channel, address.
delete from crm.suppression where channel = %(channel)s and address = %(address)s
