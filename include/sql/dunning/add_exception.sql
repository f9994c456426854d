-- A customer who gets no billing messages, until a day or for good.
-- Parameters: customer_id, reason, until_on.
insert into crm.dunning_exception (customer_id, reason, until_on)
values (%(customer_id)s, %(reason)s, %(until_on)s)
on conflict (customer_id) do update set reason = excluded.reason, until_on = excluded.until_on
