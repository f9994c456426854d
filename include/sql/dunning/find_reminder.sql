-- A row when a step has ever written a message: keys are billing:<receivable>:<step>:<due date> and outlive
-- their messages. Reads the keys through: steps are seldom deleted. Parameter: step_id.
select true as is_there
where exists (
    select from crm.message_key
    where dedupe_key like 'billing:%%' and split_part(dedupe_key, ':', 3) = %(step_id)s::text
)
