-- Accounts with their supplementary data, of all amounts and without a class. Parameters: number, business_date.
with account as (
    insert into crm.account (kind, name, email)
    select
        case when n %% 7 = 0 then 'company' else 'person' end,
        'Cliente ' || n,
        'cliente' || lpad(n::text, 8, '0') || '@example.com'
    from generate_series(1, %(number)s::bigint) as n
    returning id
)

insert into crm.account_supplementary (
    account_id,
    last_purchase_date,
    first_purchase_date,
    last_purchase_value,
    first_purchase_value,
    accumulated_value,
    last_quote_date,
    purchase_count,
    last_invoice_code,
    as_of_on,
    run_id
)
select
    id,
    %(business_date)s::date - (id * 7919 %% 1500)::integer,
    %(business_date)s::date - 1500 - (id * 104729 %% 700)::integer,
    (id * 15485863 %% 100000) / 100.0,
    (id * 32452843 %% 100000) / 100.0,
    (id * 49979687 %% 4000000) / 100.0,
    %(business_date)s::date - (id * 67867967 %% 900)::integer,
    1 + id * 86028121 %% 120,
    'NF-' || id,
    %(business_date)s,
    0
from account
