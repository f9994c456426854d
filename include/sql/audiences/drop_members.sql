-- The accounts of the audiences that were opened before in this transaction. No parameters.
drop table if exists pg_temp.audience_member
