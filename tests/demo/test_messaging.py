"""The demonstration data of messaging: something to send on any day, in any size; settings that are right."""

from __future__ import annotations

import datetime as dt
from typing import Any

import psycopg
import pytest

from rotina import demo
from rotina.demo.generate import NULL, Plan, generate
from rotina.errors import SettingError
from rotina.local import gateway_simulator
from rotina.messaging.dunning import StepSettings, due_dates
from rotina.messaging.email_templates import (
    EmailTemplateSettings,
    load_email_template,
    save_email_template,
)
from rotina.messaging.gateways import GatewaySettings, check_gateway, load_gateways
from rotina.messaging.send_windows import open_until
from rotina.messaging.templates import TemplateSettings, check_template, save_template, sync_templates

BUSINESS_DATE = dt.date(2026, 11, 24)  # a Tuesday
OPEN = "paid_at is null and cancelled_at is null"


def load(database: str, **changes: Any) -> demo.DemoCounts:
    arguments: dict[str, Any] = {"accounts": 300, "seed": 7, "business_date": BUSINESS_DATE}
    return demo.load(database, **(arguments | changes))


def rows(owner: psycopg.Connection[Any], query: str, *parameters: object) -> list[tuple[Any, ...]]:
    return owner.execute(query, parameters).fetchall()  # type: ignore[call-overload,no-any-return]


def test_most_receivables_are_paid_some_are_overdue_few_are_cancelled(
    database: str, owner: psycopg.Connection[Any]
) -> None:
    counts = load(database, accounts=5000)
    ((contracts, most),) = rows(
        owner,
        "select count(*), max(receivables) from erp.contract left join"
        " (select customer_id, count(*) as receivables from erp.receivable group by 1) as r"
        " using (customer_id) where status <> 'ended'",
    )
    assert most <= 8
    assert 6 * contracts < counts.receivables < 8 * contracts
    ((paid, cancelled, overdue),) = rows(
        owner,
        f"select avg((paid_at is not null)::int)::float, avg((cancelled_at is not null)::int)::float,"
        f" avg(({OPEN})::int)::float from erp.receivable where due_on < '2026-11-24'",
    )
    assert paid == pytest.approx(0.93, abs=0.03)
    assert cancelled == pytest.approx(0.02, abs=0.01)
    assert overdue == pytest.approx(0.05, abs=0.03)
    ((days,),) = rows(owner, "select count(distinct due_on) from erp.receivable where due_on >= '2026-11-24'")
    assert days == 38  # every day to the end of the next month
    ((codes, lengths),) = rows(
        owner,
        "select count(distinct payment_code), array_agg(distinct length(payment_code)) from erp.receivable"
        " where payment_code ~ '^000[0-9]+$' and right(payment_code, 10)::bigint = value * 100",
    )
    assert (codes, lengths) == (counts.receivables, [47])


def test_signature_requests_are_open_signed_expired_and_withdrawn(
    database: str, owner: psycopg.Connection[Any]
) -> None:
    load(database, accounts=5000)
    found = rows(
        owner,
        "select case when signed_at is not null then 'signed' when cancelled_at is not null then 'withdrawn'"
        " when expires_at < '2026-11-24' then 'expired' else 'open' end as state, count(*),"
        " count(distinct link) from erp.signature_request group by 1 order by 1",
    )
    assert [state for state, *_ in found] == ["expired", "open", "signed", "withdrawn"]
    assert all(count == links >= 1 for _, count, links in found)


@pytest.mark.parametrize("accounts", [10, 300])
@pytest.mark.parametrize(
    "business_date",
    [BUSINESS_DATE, dt.date(2026, 11, 22), dt.date(2026, 3, 1), dt.date(2028, 2, 29), dt.date(2026, 12, 31)],
)
def test_there_is_something_to_send_on_any_day_in_any_size(
    database: str, owner: psycopg.Connection[Any], accounts: int, business_date: dt.date
) -> None:
    load(database, accounts=accounts, business_date=business_date)
    for days in (-3, 0, 3, 10):
        good = (
            f"select phone from erp.receivable join erp.customer using (customer_id) where {OPEN}"
            " and due_on = %s and phone ~ '^[+]55119[0-9]{8}$'"
            " and phone not in (select address from crm.suppression)"
            " and customer_id not in (select customer_id from crm.dunning_exception)"
        )
        assert rows(owner, good, business_date - dt.timedelta(days)), days
    asked = f"""
        select count(*) from erp.signature_request
        where (requested_at at time zone 'America/Sao_Paulo')::date = %s and {OPEN.replace("paid", "signed")}
    """
    assert rows(owner, asked, business_date)[0][0] >= 3
    steps = rows(owner, "select days, next_business_day from crm.dunning_step")
    assert any(due_dates(days, moves, business_date) for days, moves in steps)
    reminded = f"select 1 from erp.receivable where customer_id = any(%s) and {OPEN} and due_on = %s"
    for table in (
        "select erp_customer_id from crm.account join crm.suppression on phone = address",
        "select customer_id from crm.dunning_exception",
    ):
        ((customer_id,),) = rows(owner, table)
        assert rows(owner, reminded, [customer_id], business_date)
    wrong = f"""
        select count(distinct customer_id) from erp.customer join erp.receivable using (customer_id)
        where phone !~ '^[+][0-9]{{8,15}}$' and {OPEN} and %s - due_on in (-3, 0, 3, 10)
    """
    assert rows(owner, wrong, business_date) == [(3,)]


def test_whom_a_demonstration_reminds_has_a_phone() -> None:
    for seed in range(20):
        accounts = next(generate(Plan(10, seed, BUSINESS_DATE), 0)).columns
        assert NULL not in accounts["phone"][:9], seed


def test_the_settings_are_such_as_a_person_could_save(
    database: str, connection: psycopg.Connection[Any], owner: psycopg.Connection[Any]
) -> None:
    load(database)
    gateways = load_gateways(connection)
    assert [(gateway.code, gateway.kind) for gateway in gateways] == [("mail", "smtp"), ("opa", "opa_suite")]
    for gateway in gateways:
        fields = {name: getattr(gateway, name) for name in GatewaySettings.__dataclass_fields__}
        check_gateway(GatewaySettings(**fields))
        for day in (20, 21, 22, 23):  # a holiday, the weekend, a Monday
            midnight = dt.datetime(2026, 11, day, 3, tzinfo=dt.UTC)
            closes = open_until(gateway.windows, gateway.zone, midnight)
            assert closes is not None
            assert closes > midnight + dt.timedelta(days=1)
    assert gateways[1].settings == {"channel_id": gateway_simulator.CHANNEL_ID}
    assert rows(owner, "select tokens from crm.gateway_usage") == [(50,), (50,)]

    listed = {key: text for key, (_, text) in gateway_simulator.TEMPLATES.items()}
    assert sync_templates(connection, "opa", listed) == []
    templates = rows(
        owner,
        "select 'opa', code, name, gateway_template_id, body, variables, status from crm.message_template",
    )
    assert {row[3]: (row[1], row[4]) for row in templates} == gateway_simulator.TEMPLATES
    for template in templates:
        save_template(connection, TemplateSettings(*template), "admin")

    steps = rows(
        owner,
        "select name, days, template_id, priority, next_business_day, valid_days from crm.dunning_step"
        " order by days",
    )
    assert [StepSettings(*step).days for step in steps] == [-3, 0, 3, 10]
    for step in steps:
        check_template(connection, step[2], "billing_messages")
    email = load_email_template(connection, "aniversario")
    fields = {name: getattr(email, name) for name in EmailTemplateSettings.__dataclass_fields__}
    save_email_template(connection, EmailTemplateSettings(**fields), "admin")
    ((signature,),) = rows(owner, "select id from crm.message_template where code = 'assinatura_digital'")
    check_template(connection, signature, "signature_links")


def test_gateways_that_are_there_already_are_not_touched(
    database: str, owner: psycopg.Connection[Any]
) -> None:
    owner.execute(
        "insert into crm.gateway (code, name, kind, connection_id) values ('opa', '-', 'smtp', '-')"
    )
    with pytest.raises(SettingError, match=r"'crm.gateway'.*make reset"):
        load(database)
    assert rows(owner, "select count(*) from crm.account") == [(0,)]
