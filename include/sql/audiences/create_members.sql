-- The accounts of no audience, where statements look for them. No parameters.
create temp table audience_member (audience_id bigint, account_id bigint) on commit drop
