-- Take the accounts off the list of an audience that are not wanted on it. Parameters: audience_id,
-- account_ids.
delete from crm.audience_account as listed
where
    listed.audience_id = %(audience_id)s
    and not exists (
        select from unnest(%(account_ids)s::bigint[]) as wanted (account_id)
        where wanted.account_id = listed.account_id
    )
