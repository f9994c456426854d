-- Of the messages that were sent, some came to rest otherwise, all over their months. No parameters.
update crm.message
set
    status = (array['failed', 'cancelled', 'expired', 'unknown'])[1 + mod(id / 997, 4)],
    reason = 'rejected',
    error = 'the number has no account',
    delivery_status = null
where mod(id, 997) = 0
