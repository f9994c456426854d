-- The greatest id that a message was given; null before the first. No parameters.
select pg_sequence_last_value(pg_get_serial_sequence('crm.message', 'id')::regclass) as message_id
