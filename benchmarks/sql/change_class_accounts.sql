-- As many accounts, other ones every day, buy so much that most of them go up. Parameters: number, day.
update crm.account_supplementary
set
    accumulated_value = accumulated_value + 9000,
    last_purchase_date = %(day)s
where
    account_id in (
        select 1 + (n * 7919 + (%(day)s::date - date '2026-01-01') * 104729) %% (select max(id) from crm.account)
        from generate_series(1, %(number)s::bigint) as n
    )
