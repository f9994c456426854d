-- Accounts made four years before the last day, of which three in ten have come to rest in the first of the
-- last three years; and their movements in these years, in the order of time: of five four in the CRM, the
-- others quotes and, a third of them, orders. Parameters: accounts, movements, last_on.
insert into crm.account (kind, name, erp_customer_id, owner_login, created_at, updated_at)
select
    'company',
    'Cliente ' || n,
    n,
    case when n %% 3 > 0 then 'u' || n %% 20 end,
    %(last_on)s::timestamptz - interval '4 years',
    %(last_on)s::timestamptz - interval '4 years' + random() * (
        case when n %% 10 < 3 then interval '2 years' else interval '4 years' end
    )
from generate_series(1, %(accounts)s::bigint) as n;
insert into crm.account_activity (account_id, process, occurred_at)
select
    m.account_id,
    (array['ticket', 'task', 'opportunity', 'campaign_action', 'ticket'])[1 + m.n %% 5],
    m.moved_at
from (
    select
        n,
        1 + (random() * (%(accounts)s::bigint - 1))::bigint as account_id,
        %(last_on)s::timestamptz - interval '3 years' * (1 - n / (%(movements)s::bigint * 0.8)) as moved_at
    from generate_series(1, %(movements)s::bigint * 4 / 5) as n
) as m
where m.account_id %% 10 >= 3 or m.moved_at < %(last_on)s::timestamptz - interval '2 years';
insert into erp.quote (quote_id, customer_id, quoted_on, updated_at)
select
    m.n,
    m.customer_id,
    m.quoted_at::date,
    m.quoted_at
from (
    select
        n,
        1 + (random() * (%(accounts)s::bigint - 1))::bigint as customer_id,
        %(last_on)s::timestamptz - interval '3 years' * (1 - n / (%(movements)s::bigint * 0.15)) as quoted_at
    from generate_series(1, %(movements)s::bigint * 3 / 20) as n
) as m
where m.customer_id %% 10 >= 3 or m.quoted_at < %(last_on)s::timestamptz - interval '2 years';
insert into erp.sales_order (
    order_id,
    code,
    customer_id,
    ordered_on,
    store_code,
    status,
    items_value,
    discount_value,
    shipping_value,
    total_value,
    updated_at
)
select
    m.n,
    m.n,
    m.customer_id,
    m.ordered_at::date,
    'WEB',
    'invoiced',
    1,
    0,
    0,
    1,
    m.ordered_at
from (
    select
        n,
        1 + (random() * (%(accounts)s::bigint - 1))::bigint as customer_id,
        %(last_on)s::timestamptz - interval '3 years' * (1 - n / (%(movements)s::bigint * 0.05)) as ordered_at
    from generate_series(1, %(movements)s::bigint / 20) as n
) as m
where m.customer_id %% 10 >= 3 or m.ordered_at < %(last_on)s::timestamptz - interval '2 years';
