"""The doors to the outside: the ERP database and the message gateway."""
