-- Find the accounts of an audience quickly, and tell the planner how many there are. No parameters.
alter table pg_temp.audience_member add primary key (audience_id, account_id);
analyze pg_temp.audience_member;
