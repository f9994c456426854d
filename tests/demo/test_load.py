"""The demonstration data: the same every time, in the promised proportions, dates that agree."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import psycopg
import pytest
from psycopg import sql
from stdnum.br import cnpj, cpf

from rotina import demo
from rotina.accounts.audiences import count_audience
from rotina.accounts.class_rules import load_rules
from rotina.accounts.inactivity_monitor import monitor_accounts
from rotina.demo.generate import MOST_ACCOUNTS, Plan, _documents, generate
from rotina.errors import SettingError
from tests.runs_by_hand import do_work

BUSINESS_DATE = dt.date(2026, 11, 20)
TABLES = {
    "crm": ["account", "account_activity", "account_class", "account_data_due", "app_user", "audience",
            "audience_account", "class_rule", "dunning_exception", "dunning_step", "gateway", "integration",
            "message_template", "monitoring_profile", "monitoring_profile_user", "routine_recipient",
            "send_window", "suppression", "team", "team_member"],
    "erp": ["contract", "customer", "health_plan_adhesion", "invoice", "load_watermark", "payment",
            "product_category", "quote", "receivable", "sales_order", "sales_order_item",
            "signature_request"],
}  # fmt: skip
#: What must not be found, as the end of a `select count(*) from`.
NEVER = {
    "issued outside of the six years": """
        erp.invoice where issued_on not between date '2026-11-20' - 6 * 365 and date '2026-11-20'
    """,
    "not changed at issue or when cancelled": """
        erp.invoice
        where updated_at <> cancelled_at or (cancelled_at is null and updated_at::date <> issued_on)
    """,
    "cancelled before issue": "erp.invoice where cancelled_at::date < issued_on",
    "bought before registered": """
        erp.invoice join erp.customer using (customer_id) where issued_on < created_at::date
    """,
    "changed before registered": "crm.account where updated_at < created_at",
    "something happened before it was made, or later": """
        crm.account_activity as happened join crm.account on account.id = account_id
        where occurred_at not between created_at and timestamptz '2026-11-20 23:00-03'
    """,
    "ended without an end": "erp.contract where (status = 'ended') <> (ends_on is not null)",
    "ended before the start": "erp.contract where ends_on < starts_on",
    "order that does not add up": """
        erp.sales_order as o
        where items_value is distinct from
            (select sum(quantity * unit_value) from erp.sales_order_item as i where i.order_id = o.order_id)
    """,
    "order that is not paid as it should be": """
        erp.sales_order as o
        where total_value is distinct from
            (select sum(value) from erp.payment as p where p.order_id = o.order_id)
            or exists (select from erp.payment as p where p.order_id = o.order_id and value <= 0)
    """,
    "day that is not loaded as it is": """
        erp.load_watermark as w
        where row_count <> case source when 'sales_order'
            then (select count(*) from erp.sales_order where ordered_on = loaded_on)
            else (select count(*) from erp.customer where created_at::date = loaded_on) end
    """,
    "product without its two categories": """
        erp.sales_order_item as i
        where (select count(*) from erp.product_category as c where c.sku = i.sku) <> 2
    """,
    "receivable without a contract in force": """
        erp.receivable
        where customer_id not in (select customer_id from erp.contract where status <> 'ended')
    """,
    "due before the contract starts": """
        erp.receivable join erp.contract using (customer_id) where due_on < starts_on + 10
    """,
    "due too early or too late": """
        erp.receivable where due_on not between date '2026-05-01' and date '2026-11-20' + 45
    """,
    "changed neither when paid nor cancelled": """
        erp.receivable where updated_at is distinct from coalesce(paid_at, cancelled_at, updated_at)
    """,
    "paid and cancelled": "erp.receivable where paid_at is not null and cancelled_at is not null",
    "paid long before it is due": "erp.receivable where paid_at::date < due_on - 4",
    "adhesion begun outside of the last year": """
        erp.health_plan_adhesion where starts_on not between date '2025-11-20' and date '2026-11-20'
    """,
    "adhesion begun before registered": """
        erp.health_plan_adhesion join erp.customer using (customer_id) where starts_on < created_at::date
    """,
    "adhesion ended before it begins, or changed later": """
        erp.health_plan_adhesion
        where ends_on < starts_on or greatest(updated_at, cancelled_at) > timestamptz '2026-11-20 23:00-03'
    """,
    "receivable dated later": """
        erp.receivable where greatest(updated_at, paid_at, cancelled_at) > timestamptz '2026-11-20 23:00-03'
    """,
    "ended before it was asked for": """
        erp.signature_request where least(signed_at, cancelled_at, expires_at) < requested_at
    """,
    "signed too late, or when withdrawn": """
        erp.signature_request
        where signed_at > expires_at or (signed_at is not null and cancelled_at is not null)
    """,
    "signature dated later": """
        erp.signature_request where greatest(updated_at, requested_at) > timestamptz '2026-11-20 23:00-03'
    """,
}


def load(database: str, **changes: Any) -> demo.DemoCounts:
    arguments: dict[str, Any] = {"accounts": 300, "seed": 7, "business_date": BUSINESS_DATE}
    return demo.load(database, **(arguments | changes))


def one(owner: psycopg.Connection[Any], query: str, *parameters: object) -> Any:
    row = owner.execute(query, parameters).fetchone()  # type: ignore[call-overload]
    assert row is not None
    return row[0] if len(row) == 1 else row


def contents(owner: psycopg.Connection[Any]) -> dict[str, str]:
    """A hash of every table."""
    query = "select coalesce(md5(string_agg(md5(t::text), '' order by t::text)), '') from {} as t"
    return {
        f"{schema}.{table}": owner.execute(sql.SQL(query).format(sql.Identifier(schema, table))).fetchall()[
            0
        ][0]
        for schema, tables in TABLES.items()
        for table in tables
    }


def test_the_same_arguments_make_the_same_tables(database: str, owner: psycopg.Connection[Any]) -> None:
    hashes = []
    for seed in (7, 7, 8):
        for schema, tables in TABLES.items():
            for table in tables:
                truncate = sql.SQL("truncate {} restart identity cascade")
                owner.execute(truncate.format(sql.Identifier(schema, table)))
        load(database, seed=seed)
        hashes.append(contents(owner))
    assert hashes[0] == hashes[1]
    assert all(hashes[0][table] != hashes[2][table] for table in ("crm.account", "erp.invoice", "erp.quote"))


def test_counts_are_what_the_tables_hold(database: str, owner: psycopg.Connection[Any]) -> None:
    counts = load(database, invoices=1234)
    assert counts.accounts == 300
    assert counts.invoices == 1234 + 3
    for table, count in {
        "crm.account": counts.accounts,
        "erp.customer": counts.customers,
        "erp.invoice": counts.invoices,
        "erp.quote": counts.quotes,
        "erp.contract": counts.contracts,
        "erp.sales_order": counts.orders,
        "erp.sales_order_item": counts.order_items,
        "erp.payment": counts.payments,
        "erp.receivable": counts.receivables,
        "erp.signature_request": counts.signature_requests,
        "erp.health_plan_adhesion": counts.adhesions,
    }.items():
        assert one(owner, f"select count(*) from {table}") == count > 0


def test_proportions(database: str, owner: psycopg.Connection[Any]) -> None:
    counts = load(database, accounts=5000)
    linked = "crm.account full join erp.customer on erp_customer_id = customer_id"
    assert one(owner, f"select count(*) from {linked} where customer_id is null") == 100  # 2 % of 5000
    assert one(owner, f"select count(*) from {linked} where id is null") == 49  # 1 % of 4949
    assert counts.customers == 4949
    share = "select avg(({})::int)::float from {}"
    for condition, table, expected in (
        ("kind = 'company'", "crm.account", 0.15),
        ("email is null", "crm.account", 0.08),
        ("not active", "crm.account", 0.03),
        ("cancelled_at is not null", "erp.invoice", 0.02),
        ("status = 'ended'", "erp.contract", 0.1),
        ("customer_id in (select customer_id from erp.health_plan_adhesion)", "erp.customer", 0.2),
        ("ends_on is not null", "erp.health_plan_adhesion", 0.33),
        ("ends_on < date '2026-11-20'", "erp.health_plan_adhesion where ends_on is not null", 0.5),
        ("cancelled_at is not null", "erp.health_plan_adhesion", 0.02),
    ):
        found = one(owner, share.format(condition, table))
        assert found == pytest.approx(expected, rel=0.3), condition
    assert counts.invoices - 3 == 10 * counts.customers
    per_customer = owner.execute(
        "select count(invoice_id) from erp.customer left join erp.invoice using (customer_id)"
        " group by customer_id"
    )
    purchases = sorted(count for (count,) in per_customer)
    assert purchases[0] == 0
    assert sum(purchases[-len(purchases) // 10 :]) > 0.3 * counts.invoices  # a tenth buys a third, at least


@pytest.mark.parametrize("accounts", [10, 11, 300])
@pytest.mark.parametrize("business_date", [BUSINESS_DATE, dt.date(2028, 2, 29), dt.date(2027, 2, 28)])
def test_every_size_has_something_to_show(
    database: str, owner: psycopg.Connection[Any], accounts: int, business_date: dt.date
) -> None:
    load(database, accounts=accounts, business_date=business_date)
    birthdays = """
        select count(*) from crm.account
        where kind = 'person' and active and email is not null and erp_customer_id is not null
            and to_char(birth_on, 'MM-DD') = %s
    """
    assert one(owner, birthdays, "02-29") >= 1
    assert one(owner, birthdays, business_date.strftime("%m-%d")) >= 3
    assert one(owner, "select count(*) from erp.invoice where issued_on = %s", business_date) >= 3 + 3
    assert one(owner, "select count(*) from erp.quote where quoted_on = %s", business_date) >= 3
    assert one(owner, "select count(*) from erp.sales_order where ordered_on = %s", business_date) >= 3
    yesterday = business_date - dt.timedelta(days=1)
    assert one(owner, "select count(*) from erp.sales_order where ordered_on = %s", yesterday) >= 3
    assert one(owner, "select count(*) from erp.load_watermark where loaded_on = %s", yesterday) == 2
    later = "select sum(row_count) from erp.load_watermark where loaded_on > %s having count(*) >= 2 * 365"
    assert one(owner, later, business_date) == 0  # nothing happens any more, and that is known
    assert one(owner, "select first_business_date from crm.daily_file_setting") == yesterday
    assert one(owner, "select count(*) from crm.audience_account join crm.account on account_id = id") >= 1


def test_documents_and_contacts_are_valid(database: str, owner: psycopg.Connection[Any]) -> None:
    load(database, accounts=2000, problems=False)
    rows = owner.execute("select kind, name, document, email, phone, birth_on from crm.account").fetchall()
    documents = [row[2] for row in rows]
    e_mails = [row[3] for row in rows if row[3]]
    assert len(set(documents)) == len(documents) == 2000
    assert len(set(e_mails)) == len(e_mails)
    for kind, name, document, e_mail, phone, birth_on in rows:
        assert (cpf if kind == "person" else cnpj).validate(document) == document
        assert (birth_on is not None) == (kind == "person")
        assert name == name.strip()
        assert e_mail is None or (e_mail.isascii() and e_mail.count("@") == 1 and " " not in e_mail)
        assert e_mail is None or e_mail.rpartition("@")[2] in {"example.com", "example.org", "example.net"}
        assert phone is None or (phone.startswith("+55119") and len(phone) == 14 and phone[1:].isdigit())


def test_a_cpf_never_has_eleven_equal_digits() -> None:
    equal_digits = np.arange(10) * 11_111_111
    assert all(len(set(document)) > 1 for document in _documents(equal_digits, np.zeros(10, dtype=bool)))


def test_documents_differ_between_blocks() -> None:
    plan = Plan(accounts=1000, seed=3, business_date=BUSINESS_DATE, invoices=3_000_000)
    assert plan.blocks > 1
    accounts = [next(generate(plan, block)).columns for block in range(plan.blocks)]
    for column in ("id", "document"):
        values = np.concatenate([block[column] for block in accounts])
        assert len(set(values.tolist())) == 1000


def test_dates_agree_with_each_other(database: str, owner: psycopg.Connection[Any]) -> None:
    load(database, accounts=2000)
    for table in (
        "crm.account",
        "erp.customer",
        "erp.invoice",
        "erp.quote",
        "erp.receivable",
        "erp.sales_order",
        "erp.signature_request",
    ):
        assert one(owner, f"select max(updated_at)::date from {table}") == BUSINESS_DATE
    for what, query in NEVER.items():
        assert one(owner, f"select count(*) from {query}") == 0, what


def test_numbers_follow_time_across_blocks() -> None:
    plan = Plan(accounts=1000, seed=3, business_date=BUSINESS_DATE, invoices=2_000_000)
    assert plan.blocks > 1
    invoices = [
        rows.columns
        for block in range(plan.blocks)
        for rows in generate(plan, block)
        if rows.table.name == "invoice"
    ]
    number, issued_on, cancelled_at, updated_at = (
        np.concatenate([block[name] for block in invoices])
        for name in ("invoice_id", "issued_on", "cancelled_at", "updated_at")
    )
    assert number.tolist() == list(range(1, 2_000_001))
    good = np.isnat(cancelled_at)
    by_day = np.lexsort((number[good], issued_on[good]))
    days, moments = issued_on[good][by_day], updated_at[good][by_day]
    assert (moments[1:] >= moments[:-1])[days[1:] == days[:-1]].all()


def test_problem_records(database: str, owner: psycopg.Connection[Any]) -> None:
    load(database)
    problems = "select count(*) from erp.invoice where customer_id is null or value is null or value < 0"
    assert one(owner, problems) == 3
    for table in ("crm.account", "erp.customer"):
        assert one(owner, f"select count(*) from {table} where phone !~ '^[+][1-9][0-9]{{7,14}}$'") == 3


def test_no_problem_records_when_not_wanted(database: str, owner: psycopg.Connection[Any]) -> None:
    counts = load(database, problems=False)
    problems = "select count(*) from erp.invoice where customer_id is null or value is null or value < 0"
    assert one(owner, problems) == 0
    assert one(owner, "select count(*) from erp.invoice") == counts.invoices
    assert one(owner, "select count(*) from erp.customer where phone !~ '^[+]'") == 0


def test_who_is_who(database: str, owner: psycopg.Connection[Any]) -> None:
    load(database)
    assert owner.execute("select code, active, settings from crm.integration order by code").fetchall() == [
        ("erp", True, {"months_inactive": 6}),
        ("health_plan", False, {}),
    ]
    assert owner.execute("select login, email from crm.app_user order by login").fetchall() == [
        (login, f"{login}@example.com")
        for login in ("admin", "op", "user", "vendas1", "vendas2", "vendas3", "vendas4", "viewer")
    ]
    assert owner.execute("select * from crm.routine_recipient").fetchall() == [("*", "operacao@example.com")]


def test_the_audiences_are_a_list_and_a_filter(database: str, owner: psycopg.Connection[Any]) -> None:
    load(database)
    names = [name for (name,) in owner.execute("select name from crm.audience order by id")]
    assert names == ["Clientes VIP", "Compraram mais de R$ 10.000"]
    assert count_audience(owner, "Clientes VIP", BUSINESS_DATE) >= 1
    # of the ERP's invoices, which the first refresh makes account data of
    owner.execute(
        "insert into crm.account_supplementary (account_id, accumulated_value, purchase_count, as_of_on, "
        "run_id) select a.id, sum(i.value), count(*), %s, 1 from crm.account as a "
        "join erp.invoice as i on i.customer_id = a.erp_customer_id and i.cancelled_at is null group by a.id",
        [BUSINESS_DATE],
    )
    accounts = one(owner, "select count(*) from crm.account")
    assert 1 <= count_audience(owner, "Compraram mais de R$ 10.000", BUSINESS_DATE) < accounts


@pytest.mark.parametrize("accounts", [10, 300])
def test_the_inactivity_monitor_has_something_to_find_and_to_transfer(
    database: str, connection: psycopg.Connection, accounts: int
) -> None:
    load(database, accounts=accounts)
    routine = {"routine": "inactivity_monitor", "program": "crm00356"}
    _, outcome = do_work(connection, monitor_accounts, BUSINESS_DATE, **routine)
    assert outcome.failed == 0
    assert 1 <= outcome.changed <= accounts / 5
    assert outcome.details["transferred"] > 0
    assert outcome.details["digests"] > 0


def test_class_rules_have_accounts_to_move(
    database: str, owner: psycopg.Connection[Any], connection: psycopg.Connection
) -> None:
    load(database)
    assert [rule.target for rule in load_rules(connection)] == ["Ouro", "Prata", "Prata", "Bronze", "Bronze"]
    with_class = "select count(*), count(class_id), count(distinct class_id) from crm.account"
    assert one(owner, with_class) == (300, 75, 3)


def test_indexes_are_back_and_accounts_are_due(database: str, owner: psycopg.Connection[Any]) -> None:
    indexes = """
        select count(*), md5(string_agg(indexdef, ';' order by indexdef))
        from pg_indexes where schemaname in ('crm', 'erp')
    """
    before = one(owner, indexes)
    load(database)
    assert one(owner, indexes) == before
    linked = one(owner, "select count(*) from crm.account where erp_customer_id is not null")
    assert one(owner, "select count(*) from crm.account_data_due") == linked
    new = "insert into crm.account (kind, name) values ('person', 'Nova') returning id"
    assert one(owner, new) == 301


def test_a_database_with_data_is_refused(database: str, owner: psycopg.Connection[Any]) -> None:
    owner.execute("insert into crm.account (kind, name) values ('person', 'Primeira')")
    with pytest.raises(SettingError, match=r"'crm.account'.*make reset"):
        load(database)
    assert one(owner, "select count(*) from crm.account") == 1
    assert one(owner, "select count(*) from crm.integration") == 0


def test_a_load_that_fails_leaves_nothing(database: str, owner: psycopg.Connection[Any]) -> None:
    owner.execute("alter table erp.quote add check (quote_id < 100)")
    before = one(owner, "select count(*) from pg_indexes where schemaname = 'erp'")
    with pytest.raises(psycopg.errors.CheckViolation):
        load(database)
    assert one(owner, "select count(*) from crm.account") == 0
    assert one(owner, "select count(*) from pg_indexes where schemaname = 'erp'") == before


@pytest.mark.parametrize(
    ("field", "value"), [("accounts", 9), ("accounts", MOST_ACCOUNTS + 1), ("seed", -1), ("invoices", 0)]
)
def test_sizes_out_of_range_are_refused(field: str, value: int) -> None:
    with pytest.raises(SettingError, match=f"^{field} = {value}: "):
        load("postgresql://nobody@localhost:1/nothing", **{field: value})


def test_progress_is_told(database: str) -> None:
    lines: list[str] = []
    load(database, progress=lines.append)
    assert lines[0].startswith("100 %  300 accounts")
