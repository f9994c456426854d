-- A row when a gateway has messages, archived ones too, or templates. Parameter: gateway_id.
select true as used
where
    exists (select from crm.message where gateway_id = %(gateway_id)s)
    or exists (select from crm.message_archive where gateway_id = %(gateway_id)s)
    or exists (select from crm.message_template where gateway_id = %(gateway_id)s)
