-- Clients with an account, and receivables: one of each is due on the business date, ten on other days.
-- Parameters: clients, business_date.
with customer as (
    insert into erp.customer (customer_id, kind, name, phone, created_at, updated_at)
    select
        n,
        'person',
        (array['ANA SOUZA', 'José da Silva', 'Conceição d''Ávila', 'Luís Araújo'])[mod(n, 4) + 1],
        '+55119' || to_char(n, 'FM00000000'),
        now(),
        now()
    from generate_series(1, %(clients)s) as n
),

account as (
    insert into crm.account (kind, name, erp_customer_id)
    select
        'person',
        'Ana',
        n
    from generate_series(1, %(clients)s) as n
)

insert into erp.receivable (receivable_id, code, customer_id, due_on, value, updated_at)
select
    n,
    n || '/1',
    mod(n, %(clients)s) + 1,
    case
        when n <= %(clients)s then %(business_date)s
        else %(business_date)s + (mod(n, 300) - 330)::integer
    end,
    mod(n, 100000) / 100.0 + 1,
    now()
from generate_series(1, %(clients)s * 11) as n
