"""Birthday e-mails: whose birthday a day is, what is written, until when, and each greeting once."""

from __future__ import annotations

import asyncio
import datetime as dt
import email
import email.policy
import html
import runpy
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import psycopg
import pytest
from cryptography.fernet import Fernet

from rotina.accounts.audiences import AudienceSettings, open_audience, save_audience
from rotina.errors import SettingError
from rotina.local.mailbox import Mailbox, create_smtp
from rotina.messaging import birthday_emails
from rotina.messaging.adapters.opening import open_adapter
from rotina.messaging.birthday_emails import Link, birthdays_of, check_settings, write_messages
from rotina.messaging.email_templates import EmailTemplateSettings, Renderer, save_email_template
from rotina.messaging.gateways import load_gateway
from rotina.messaging.queue_dispatch import Dispatcher
from rotina.messaging.suppressions import suppress
from rotina.messaging.unsubscribe import address_of, unsubscribe_url
from rotina.runs.business_date import Occasion, business_date_of, today_in
from rotina.runs.record import Outcome, Run
from rotina.runs.summary import DETAIL_TITLES, REASON_TITLES, RECORD_TITLES, ROUTINE_TITLES
from rotina.sql import statement
from tests.messaging.queue_data import add_account, add_gateway, insert, messages, whole
from tests.messaging.test_adapters_smtp import endpoint as smtp_endpoint
from tests.runs_by_hand import counts, do_work

SAO_PAULO = ZoneInfo("America/Sao_Paulo")
DAY = dt.date(2026, 11, 18)
BORN = dt.date(1990, 11, 18)
DAG_FILE = Path(__file__).parents[2] / "dags" / "birthday_emails.py"
ROUTINE = {"routine": "birthday_emails", "program": "crm304rp"}

BASE_URL = "https://rotina.example.com"
KEYS = [Fernet.generate_key().decode()]


def frames(owner: psycopg.Connection) -> list[str]:
    """The layouts that are stored."""
    return [html for (html,) in owner.execute("select html from crm.email_frame order by id")]


@pytest.fixture(autouse=True)
def mail(owner: psycopg.Connection) -> int:
    """A gateway for e-mail, the only one, and the template that runs have unless they ask for another."""
    add_template(owner)
    return add_gateway(owner, "mail", kind="smtp")


def add_template(owner: psycopg.Connection, name: str = "aniversario", **parts: Any) -> None:
    """An e-mail template, a birthday greeting unless told otherwise."""
    values: dict[str, Any] = {
        "subject": "Feliz aniversário, {{ first_name }}!",
        "html": "<p>Olá, {{ name }}! Parabéns pelos {{ age }} anos.</p>",
        "text": "Olá, {{ name }}! Parabéns pelos {{ age }} anos.",
        **parts,
    }
    save_email_template(owner, EmailTemplateSettings(name, **values), "teste")


def open_links() -> Link:
    """What makes unsubscribe links."""
    return partial(unsubscribe_url, BASE_URL, KEYS)


def at(date: dt.date | str, time: str = "07:00") -> dt.datetime:
    """An instant in São Paulo."""
    date = dt.date.fromisoformat(date) if isinstance(date, str) else date
    return dt.datetime.combine(date, dt.time.fromisoformat(time), SAO_PAULO)


def add_person(owner: psycopg.Connection, born: dt.date | str = BORN, **fields: Any) -> int:
    """An account of a person with an e-mail address of its own; returns its id."""
    account = add_account(owner, birth_on=born, **fields)
    if "email" not in fields:
        owner.execute(
            "update crm.account set email = 'conta' || id || '@example.com' where id = %s", [account]
        )
    return account


def greet(
    connection: psycopg.Connection,
    date: dt.date | str = DAY,
    *,
    now: dt.datetime | None = None,
    **params: Any,
) -> tuple[Run, Outcome]:
    """Run the routine for a date, at seven o'clock of that date unless told otherwise."""
    work = partial(write_messages, open_links=open_links, now=now or at(date))
    return do_work(connection, work, date, **ROUTINE, **params)


def check(connection: psycopg.Connection, **params: Any) -> None:
    """Refuse wrong params as the run does when it begins."""
    check_settings(connection, params, open_links=open_links)


def items(connection: psycopg.Connection, run: Run) -> list[tuple[Any, ...]]:
    return connection.execute(
        "select record_kind, record_id::bigint, outcome, reason, detail from crm.run_item "
        "where run_id = %s order by 1, 2",
        [run.id],
    ).fetchall()


def greeted(owner: psycopg.Connection) -> list[int]:
    """Accounts with a message, one entry for each message."""
    return sorted(int(message["origin_key"]) for message in messages(owner))


# -- what is written --------------------------------------------------------------------------------------


def test_a_greeting_is_written_whole(
    owner: psycopg.Connection, connection: psycopg.Connection, mail: int
) -> None:
    account = add_person(owner, name="ÉRICA d'Ávila", email=" Erica@Example.COM ")
    run, outcome = greet(connection)
    assert counts(outcome) == (1, 1, 0, 0, 0)
    (message,) = messages(owner)
    written = {
        "gateway_id": mail,
        "template_id": None,
        "dedupe_key": f"birthday:{account}:2026",
        "origin": "birthday_emails",
        "origin_key": str(account),
        "account_id": account,
        "customer_id": None,
        "receivable_id": None,
        "recipient": "erica@example.com",
        "recipient_name": "ÉRICA d'Ávila",
        "status": "waiting",
        "ready": True,
        "expires_at": at("2026-11-19", "00:00"),
        "run_id": run.id,
    }
    assert {name: message[name] for name in written} == written
    payload = message["payload"]
    assert payload.keys() == {"subject", "html", "text", "unsubscribe_url"}
    assert payload["subject"] == "Feliz aniversário, Érica!"
    assert "36 anos" in payload["text"]
    link = payload["unsubscribe_url"]
    assert address_of(KEYS, link.removeprefix(f"{BASE_URL}/rotina/unsubscribe/")) == "erica@example.com"
    assert link in payload["text"]
    assert link in html.unescape(whole(owner, payload)["html"])
    assert "birthday_emails" in ROUTINE_TITLES


def test_what_was_written_stays_when_the_template_changes(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    add_person(owner)
    greet(connection)
    before = messages(owner)
    owner.execute("update crm.email_template set subject = 'Outro assunto'")
    assert counts(greet(connection)[1]) == (1, 0, 1, 0, 0)
    assert messages(owner) == before


def test_another_subject_and_another_template(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    add_person(owner, name="Ana Souza")
    add_template(owner, "outro", text="Outro texto para {{ first_name }}")
    greet(connection, subject="{{ first_name }}, é hoje! 🎂", template="outro")
    (message,) = messages(owner)
    assert message["payload"]["subject"] == "Ana, é hoje! 🎂"
    assert message["payload"]["text"].startswith("Outro texto para Ana\n")


def test_the_layout_is_stored_once_and_kept_for_what_waits(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    add_person(owner, name="Ana")
    assert greet(connection, dry_run=True)[1].changed == 0
    assert frames(owner) == []
    greet(connection)
    (first,) = frames(owner)
    add_person(owner, name="Bia", email="bia@example.com")
    greet(connection)
    assert frames(owner) == [first]
    add_template(owner, "outro", company="Outra")
    add_person(owner, name="Caio", email="caio@example.com")
    greet(connection, template="outro")
    assert len(frames(owner)) == 2
    bodies = [whole(owner, message["payload"])["html"] for message in messages(owner)]
    assert ["Outra" in body for body in bodies] == [False, False, True]
    assert all(first != body and "{{" not in body for body in bodies)


def test_nothing_that_is_printed_is_taken_for_a_place_of_the_layout(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    marks = "{{ preheader }} {{ content }} {{ unsubscribe_url }}"
    add_template(owner, "nome", html="<p>Olá {{ name }}</p>", preheader="{{ name }}", company=marks)
    add_person(owner, name=marks)
    greet(connection, template="nome")
    body = whole(owner, messages(owner)[0]["payload"])["html"]
    assert f"<p>Olá {marks}</p>" in body
    assert body.count("{{ content }}") == 2  # preheader and name
    assert body.count("<p>Olá") == 1
    assert html.unescape(body).count(marks) == 3


def test_an_email_whose_layout_is_gone_is_not_sent_without_it(
    owner: psycopg.Connection, connection: psycopg.Connection, task_uri: str, tmp_path: Path
) -> None:
    today = today_in(SAO_PAULO)
    add_person(owner, today.replace(year=1992))
    do_work(connection, partial(write_messages, open_links=open_links), today, **ROUTINE, days_late=1)
    owner.execute("delete from crm.email_frame")
    asyncio.run(_dispatch(connection, task_uri, Mailbox(tmp_path / "mailbox")))
    (message,) = messages(owner)
    assert (message["status"], message["error"]) == ("failed", "the frame of its html is not there")


@pytest.mark.parametrize(
    "name",
    [
        "<b>Ana</b> Souza",
        "{{7*7}} Souza",
        "{% raw %} Souza",
        "João da Silva Ção",
        "Zoë 🎂 Müller",
        "Ana & Bia",
    ],
)
def test_a_name_is_printed_as_it_is(
    owner: psycopg.Connection, connection: psycopg.Connection, name: str
) -> None:
    add_person(owner, name=name)
    add_template(
        owner, "nome", subject="Para {{ name }}", html="<p>Olá {{ name }}</p>", text="Olá {{ name }}"
    )
    assert greet(connection, template="nome")[1].changed == 1
    payload = messages(owner)[0]["payload"]
    assert payload["subject"] == f"Para {name}"
    assert payload["text"].startswith(f"Olá {name}\n")
    assert f"<p>Olá {html.escape(name)}</p>" in whole(owner, payload)["html"]


def test_a_line_break_in_a_name_makes_no_header_of_the_subject(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    add_person(owner, name="Ana\r\nBcc: todos@example.com")
    assert greet(connection, subject="Feliz aniversário, {{ name }}")[1].changed == 1
    subject = messages(owner)[0]["payload"]["subject"]
    assert subject == "Feliz aniversário, Ana Bcc: todos@example.com"


def test_an_address_with_an_international_domain(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    add_person(owner, email="ana@Açaí.com.br")
    assert counts(greet(connection)[1]) == (1, 1, 0, 0, 0)
    assert messages(owner)[0]["recipient"] == "ana@xn--aa-4iaz.com.br"
    suppress(connection, "email", "ANA@açaí.com.br", "pediu", "ana")
    assert counts(greet(connection, "2027-11-18")[1]) == (1, 0, 0, 1, 0)


def test_a_greeting_arrives(
    owner: psycopg.Connection, connection: psycopg.Connection, task_uri: str, tmp_path: Path
) -> None:
    """From the account to the mailbox: over SMTP, by the dispatcher."""
    today = today_in(SAO_PAULO)
    born = today.replace(year=1992)  # a leap year, as today's may be
    add_person(owner, born, name="Zoë <b> 🎂", email="zoe@Açaí.example")
    do_work(connection, partial(write_messages, open_links=open_links), today, **ROUTINE, days_late=1)
    (payload,) = [message["payload"] for message in messages(owner)]
    mailbox = Mailbox(tmp_path / "mailbox")
    asyncio.run(_dispatch(connection, task_uri, mailbox))
    assert [message["status"] for message in messages(owner)] == ["sent"]
    (path,) = (tmp_path / "mailbox").glob("*.eml")
    mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.SMTP)
    assert mail["To"] == "zoe@xn--aa-4iaz.example"
    assert mail["Subject"] == "Feliz aniversário, Zoë!"
    assert mail["List-Unsubscribe"] == f"<{payload['unsubscribe_url']}>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    for kind in ("plain", "html"):
        part = mail.get_body((kind,))
        assert part is not None
        written = whole(owner, payload)["text" if kind == "plain" else "html"]
        assert part.get_content().splitlines() == written.splitlines()


async def _dispatch(connection: psycopg.Connection, uri: str, mailbox: Mailbox) -> None:
    """Send what waits to a mail server that keeps it."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: create_smtp(mailbox), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    gateway = load_gateway(connection, "mail")
    adapter = open_adapter(gateway, smtp_endpoint(port))
    async with server:
        await Dispatcher(
            gateway, adapter, lambda: asyncpg.connect(uri), run_id=None, budget_seconds=30.0
        ).run()
        await adapter.close()


# -- whose birthday it is ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("date", "rule", "birthdays"),
    [
        ("2026-11-18", "february_28", [1118]),
        ("2024-02-28", "february_28", [228]),
        ("2024-02-29", "february_28", [229]),
        ("2024-03-01", "february_28", [301]),
        ("2024-02-28", "march_1", [228]),
        ("2024-02-29", "march_1", [229]),
        ("2024-03-01", "march_1", [301]),
        ("2026-02-28", "february_28", [228, 229]),
        ("2026-03-01", "february_28", [301]),
        ("2026-02-28", "march_1", [228]),
        ("2026-03-01", "march_1", [301, 229]),
        ("2100-02-28", "february_28", [228, 229]),
        ("2000-02-28", "february_28", [228]),
        ("2026-12-31", "march_1", [1231]),
        ("2027-01-01", "february_28", [101]),
    ],
)
def test_the_birthdays_that_a_day_greets(date: str, rule: str, birthdays: list[int]) -> None:
    assert birthdays_of(dt.date.fromisoformat(date), rule) == birthdays


@pytest.mark.parametrize("rule", ["february_28", "march_1"])
@pytest.mark.parametrize("year", [2023, 2024])
def test_everybody_is_greeted_once_around_the_end_of_february(
    owner: psycopg.Connection, connection: psycopg.Connection, rule: str, year: int
) -> None:
    born = {day: add_person(owner, f"1992-{day}") for day in ("02-27", "02-28", "02-29", "03-01", "03-02")}
    first, found = dt.date(year, 2, 27), {}
    for day in (first + dt.timedelta(days=n) for n in range(5)):
        before = set(greeted(owner))
        greet(connection, day, leap_day_rule=rule)
        found[f"{day:%m-%d}"] = set(greeted(owner)) - before
    on = "02-29" if year == 2024 else {"february_28": "02-28", "march_1": "03-01"}[rule]
    assert greeted(owner) == sorted(born.values())
    assert born["02-29"] in found[on]
    assert all(born[day] in found[day] for day in born if day != "02-29")


def test_the_year_is_that_of_the_birthday(owner: psycopg.Connection, connection: psycopg.Connection) -> None:
    """31 December that is greeted late, on 1 January, belongs to the old year; so does its age."""
    last, first = add_person(owner, "1990-12-31"), add_person(owner, "1990-01-01")
    greet(connection, "2026-12-31", now=at("2027-01-01", "00:30"), days_late=1)
    greet(connection, "2027-01-01", now=at("2027-01-01", "00:30"), days_late=1)
    assert [message["dedupe_key"] for message in messages(owner)] == [
        f"birthday:{last}:2026",
        f"birthday:{first}:2027",
    ]
    assert ["36 anos" in message["payload"]["text"] for message in messages(owner)] == [True, False]
    greet(connection, "2027-12-31")
    assert len(messages(owner)) == 3


def test_only_active_persons_who_are_born(owner: psycopg.Connection, connection: psycopg.Connection) -> None:
    add_person(owner, kind="company")
    add_person(owner, active=False)
    add_person(owner, None)  # type: ignore[arg-type]
    add_person(owner, DAY)
    add_person(owner, "2030-11-18")
    add_person(owner, "1990-11-17")
    long_ago = add_person(owner)
    owner.execute("update crm.account set birth_on = '0044-11-18 BC' where id = %s", [long_ago])
    last_year = add_person(owner, "2025-11-18")
    assert counts(greet(connection)[1]) == (1, 1, 0, 0, 0)
    assert greeted(owner) == [last_year]


def test_an_audience(owner: psycopg.Connection, connection: psycopg.Connection) -> None:
    (audience, *_) = insert(owner, "crm.audience", name="VIP")
    account, _ = add_person(owner), add_person(owner)
    insert(owner, "crm.audience_account", audience_id=audience, account_id=account)
    outcome = greet(connection, audience="VIP")[1]
    assert counts(outcome) == (1, 1, 0, 0, 0)
    assert outcome.details["audience"] == "VIP"
    assert outcome.details.keys() <= DETAIL_TITLES.keys()
    assert greeted(owner) == [account]


def test_an_audience_by_filter(owner: psycopg.Connection, connection: psycopg.Connection) -> None:
    account, _ = add_person(owner, owner_login="ana"), add_person(owner)
    document = {"field": "owner", "op": "=", "value": "ana"}
    save_audience(connection, AudienceSettings("Da Ana", filter=document), "ana")
    for changed in (1, 0):
        outcome = greet(connection, audience="Da Ana")[1]
        assert counts(outcome) == (1, changed, 1 - changed, 0, 0)
    assert greeted(owner) == [account]


def test_the_birthdays_come_from_the_index(owner: psycopg.Connection, connection: psycopg.Connection) -> None:
    owner.execute(
        "insert into crm.account (kind, name, birth_on) "
        "select 'person', 'x', date '1950-01-01' + n % 20000 from generate_series(1, 50000) as n"
    )
    owner.execute("vacuum analyze crm.account")
    values = {
        "birthdays": [228, 229],
        "business_date": DAY,
        "year": DAY.year,
        "audience_id": None,
        "too_late": False,
        "unicode_emails": [],
        "spellings": [],
    }
    with connection.transaction():
        open_audience(connection, None, DAY)
        rows = connection.execute(
            b"explain " + statement("birthday_emails/select_accounts").encode(), values
        ).fetchall()
    plan = "\n".join(line for (line,) in rows)
    assert "account_birthday" in plan
    assert "Seq Scan on account" not in plan


# -- one address, one greeting ----------------------------------------------------------------------------


def test_of_one_address_the_lowest_account_is_greeted(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    first = add_person(owner, email="casal@example.com")
    second = add_person(owner, email=" Casal@Example.com")
    nobody = [add_person(owner, email=None), add_person(owner, email=" ")]
    run, outcome = greet(connection)
    assert counts(outcome) == (4, 1, 0, 3, 0)
    assert greeted(owner) == [first]
    assert items(connection, run) == [
        ("account", second, "skipped", "same_address", f"conta {first}"),
        *(("account", account, "skipped", "no_email", None) for account in nobody),
    ]
    assert counts(greet(connection)[1]) == (4, 0, 1, 3, 0)


@pytest.mark.parametrize("opted_out", [False, True])
def test_an_address_of_two_spellings_is_one(
    owner: psycopg.Connection, connection: psycopg.Connection, opted_out: bool
) -> None:
    first = add_person(owner, email="Ana@AÇAÍ.com.br")
    second = add_person(owner, email="ana@xn--aa-4iaz.com.br")
    third = add_person(owner, email="ana@ac\u0327ai\u0301.com.br")  # the letters and their marks apart
    if opted_out:
        suppress(connection, "email", "ana@açaí.com.br", "pediu", "ana")
    run, _ = greet(connection)
    assert greeted(owner) == ([] if opted_out else [first])
    if opted_out:
        assert [item[3] for item in items(connection, run)] == ["opted_out"] * 3
    else:
        assert items(connection, run) == [
            ("account", account, "skipped", "same_address", f"conta {first}") for account in (second, third)
        ]
        owner.execute("update crm.account set active = false where id = %s", [first])
        assert greet(connection)[1].changed == 0


def test_an_address_that_was_greeted_is_not_greeted_for_a_lower_account(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    lower = add_person(owner, "1990-01-01", email="casal@example.com")
    higher = add_person(owner, email="casal@example.com")
    greet(connection)
    owner.execute("update crm.account set birth_on = %s where id = %s", [BORN, lower])
    run, outcome = greet(connection)
    assert counts(outcome) == (2, 0, 1, 1, 0)
    assert items(connection, run) == [("account", lower, "skipped", "same_address", f"conta {higher}")]


def test_two_audiences_greet_one_address_once(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    accounts = [add_person(owner, email="casal@example.com") for _ in range(2)]
    for account in accounts:
        (audience, *_) = insert(owner, "crm.audience", name=str(account))
        insert(owner, "crm.audience_account", audience_id=audience, account_id=account)
    lower, higher = accounts
    assert counts(greet(connection, audience=str(higher))[1]) == (1, 1, 0, 0, 0)
    assert counts(greet(connection, audience=str(lower))[1]) == (1, 0, 0, 1, 0)
    assert greeted(owner) == [higher]


@pytest.mark.parametrize("change", ["active = false", "kind = 'company'", "birth_on = '1990-03-03'"])
def test_an_address_is_not_greeted_again_when_the_greeted_account_is_gone(
    owner: psycopg.Connection, connection: psycopg.Connection, change: str
) -> None:
    first = add_person(owner, email="casal@example.com")
    greet(connection)
    owner.execute(f"update crm.account set {change}")
    second = add_person(owner, email="Casal@example.com")
    run, outcome = greet(connection)
    assert counts(outcome) == (1, 0, 0, 1, 0)
    assert items(connection, run) == [("account", second, "skipped", "same_address", f"conta {first}")]
    assert counts(greet(connection, "2027-11-18")[1]) == (1, 1, 0, 0, 0)
    assert greeted(owner) == [first, second]


FRAGILE = "{% if name == 'Quebra' %}{{ 1 // (age - age) }}{% endif %}Olá {{ name }}"


@pytest.mark.parametrize("batch", [1, 500])
def test_of_one_address_the_next_account_is_greeted_when_the_first_cannot_be_rendered(
    owner: psycopg.Connection, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(birthday_emails, "BATCH", batch)
    add_template(owner, "frágil", text=FRAGILE)
    names = ["Quebra", "Ana", "Bia"]
    broken, good, other = (add_person(owner, name=name, email="casal@example.com") for name in names)
    lost = [add_person(owner, name="Quebra", email="perdido@example.com") for _ in range(2)]
    run, outcome = greet(connection, template="frágil")
    assert counts(outcome) == (5, 1, 0, 1, 3)
    assert greeted(owner) == [good]
    assert [item[1:4] for item in items(connection, run)] == [
        (broken, "failed", "render_failed"),
        (other, "skipped", "same_address"),
        *((account, "failed", "render_failed") for account in lost),
    ]
    assert items(connection, run)[1][4] == f"conta {good}"
    assert counts(greet(connection)[1]) == (5, 1, 1, 3, 0)
    assert greeted(owner) == [good, lost[0]]


@pytest.mark.parametrize(("why", "reason"), [("pediu", "opted_out"), ("hard_bounce", "no_such_address")])
def test_a_suppressed_address_is_not_rendered(
    owner: psycopg.Connection, connection: psycopg.Connection, why: str, reason: str
) -> None:
    add_template(owner, "frágil", text=FRAGILE)
    address = "nunca@example.com"
    insert(owner, "crm.suppression", channel="email", address=address, reason=why, source="console")
    accounts = [add_person(owner, name="Quebra", email="Nunca@example.com") for _ in range(2)]
    run, outcome = greet(connection, template="frágil")
    assert counts(outcome) == (2, 0, 0, 2, 0)
    assert [item[1:] for item in items(connection, run)] == [
        (account, "skipped", reason, None) for account in accounts
    ]


# -- records that are wrong -------------------------------------------------------------------------------


def _no_email(owner: psycopg.Connection) -> int:
    return add_person(owner, email=None)


def _bad_email(owner: psycopg.Connection) -> int:
    return add_person(owner, email="ana@localhost")


def _opted_out(owner: psycopg.Connection) -> int:
    address = "nunca@example.com"
    insert(owner, "crm.suppression", channel="email", address=address, reason="pediu", source="console")
    return add_person(owner, email="Nunca@example.com")


def _unrenderable(owner: psycopg.Connection) -> int:
    return add_person(owner, name="Quebra")


WRONG: dict[str, tuple[Callable[[psycopg.Connection], int], str, str]] = {
    "no e-mail": (_no_email, "skipped", "no_email"),
    "bad e-mail": (_bad_email, "failed", "invalid_email"),
    "opted out": (_opted_out, "skipped", "opted_out"),
    "template fails": (_unrenderable, "failed", "render_failed"),
}


@pytest.mark.parametrize("case", WRONG)
def test_an_account_that_cannot_be_greeted_is_named_and_stops_nobody(
    owner: psycopg.Connection, connection: psycopg.Connection, case: str
) -> None:
    make, outcome, reason = WRONG[case]
    wrong, good = make(owner), add_person(owner)
    add_template(owner, "frágil", text=FRAGILE)
    run, done = greet(connection, template="frágil")
    skipped = int(outcome == "skipped")
    assert counts(done) == (2, 1, 0, skipped, 1 - skipped)
    assert greeted(owner) == [good]
    ((kind, account, *named, _detail),) = items(connection, run)
    assert (kind, account, *named) == ("account", wrong, outcome, reason)
    assert {reason, "same_address", "dry_run", "too_late"} <= REASON_TITLES.keys()
    assert "account" in RECORD_TITLES


def test_what_failed_is_written_by_another_run_once_it_is_mended(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    account = _bad_email(owner)
    greet(connection)
    owner.execute("update crm.account set email = 'ana@example.com'")
    assert counts(greet(connection)[1]) == (1, 1, 0, 0, 0)
    assert greeted(owner) == [account]


def test_a_message_over_the_limit_of_the_gateway_is_named(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    owner.execute("update crm.gateway set payload_limit = 100")
    account = add_person(owner)
    run, outcome = greet(connection)
    assert counts(outcome) == (1, 0, 0, 0, 1)
    ((*named, detail),) = items(connection, run)
    assert named == ["account", account, "failed", "payload_too_long"]
    assert detail.endswith("o limite é 100")
    owner.execute("update crm.gateway set payload_limit = 5000")  # the layout alone has more
    assert counts(greet(connection)[1]) == (1, 0, 0, 0, 1)
    owner.execute("update crm.gateway set payload_limit = 20000")
    assert counts(greet(connection)[1]) == (1, 1, 0, 0, 0)


# -- a greeting belongs to its day ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "days_late", "written"),
    [
        (at(DAY, "00:00"), 0, True),
        (at(DAY, "00:30"), 0, True),
        (at(DAY, "22:30"), 0, True),  # on the next day in UTC
        (at("2026-11-19", "00:00"), 0, False),
        (at("2026-11-19", "00:30"), 0, False),
        (at("2026-11-19", "00:30"), 1, True),
        (at("2026-11-21", "23:59"), 3, True),
        (at("2026-11-22", "00:00"), 3, False),
    ],
)
def test_a_late_greeting_is_written_within_the_days_allowed(
    owner: psycopg.Connection,
    connection: psycopg.Connection,
    now: dt.datetime,
    days_late: int,
    written: bool,
) -> None:
    account, nobody = add_person(owner), add_person(owner, email=None)
    run, outcome = greet(connection, now=now, days_late=days_late)
    if written:
        assert counts(outcome) == (2, 1, 0, 1, 0)
        (message,) = messages(owner)
        midnight = at(DAY + dt.timedelta(days=days_late + 1), "00:00")
        assert message["expires_at"] == midnight
    else:
        assert counts(outcome) == (2, 0, 0, 2, 0)
        assert messages(owner) == []
        assert items(connection, run) == [
            ("account", who, "skipped", "too_late", None) for who in (account, nobody)
        ]


def test_a_run_by_hand_at_half_past_midnight_greets_the_day_that_began() -> None:
    occasion = Occasion("manual", None, None, None, dt.datetime(2026, 11, 18, 3, 30, tzinfo=dt.UTC))
    assert business_date_of(occasion, SAO_PAULO) == DAY


def test_a_day_without_midnight_ends_when_the_clocks_say(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    """On 4 November 2018 the clocks of São Paulo went from 24:00 to 01:00."""
    add_person(owner, "1990-11-03")
    greet(connection, "2018-11-03", now=at("2018-11-03", "23:59"))
    assert messages(owner)[0]["expires_at"] == dt.datetime(2018, 11, 4, 3, tzinfo=dt.UTC)


# -- once -------------------------------------------------------------------------------------------------


def test_an_account_is_greeted_once_whatever_is_run(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    yesterday, today = add_person(owner, "1990-11-17"), add_person(owner)
    assert greet(connection, "2026-11-17")[1].changed == 1
    assert greet(connection)[1].changed == 1
    before = messages(owner)
    assert counts(greet(connection)[1]) == (1, 0, 1, 0, 0)
    for days_late in (0, 5):
        older = greet(connection, "2026-11-17", now=at(DAY), days_late=days_late)[1]
        assert counts(older) == (1, 0, 1, 0, 0)
    add_template(owner, "outro")
    assert greet(connection, template="outro", subject="Outro")[1].changed == 0
    assert messages(owner) == before
    assert greeted(owner) == [yesterday, today]


def test_a_birthday_that_changes_after_the_greeting_is_not_greeted_again_that_year(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    account = add_person(owner)
    greet(connection)
    owner.execute("update crm.account set birth_on = '1990-11-20' where id = %s", [account])
    assert counts(greet(connection, "2026-11-20")[1]) == (1, 0, 1, 0, 0)
    assert counts(greet(connection, "2027-11-20")[1]) == (1, 1, 0, 0, 0)


@pytest.mark.parametrize(
    ("status", "told"), [("expired", "expirada"), ("failed", "falhou"), ("cancelled", "cancelada")]
)
def test_a_greeting_that_was_written_and_never_sent_is_named(
    owner: psycopg.Connection, connection: psycopg.Connection, status: str, told: str
) -> None:
    accounts = [add_person(owner), add_person(owner)]
    greet(connection)
    (message, *_) = before = messages(owner)
    account = message["account_id"]
    owner.execute("update crm.message set status = %s where id = %s", [status, message["id"]])
    for now in (at(DAY), at("2026-11-20")):
        run, outcome = greet(connection, now=now)
        assert counts(outcome) == (2, 0, 1, 1, 0)
        detail = f"mensagem {message['id']}: {told}"
        assert items(connection, run) == [("account", account, "skipped", "written_not_sent", detail)]
    assert len(messages(owner)) == len(before)
    assert greeted(owner) == accounts
    assert "written_not_sent" in REASON_TITLES


def test_a_rule_that_changes_after_the_greeting_greets_nobody_twice(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    add_person(owner, "1992-02-29")
    greet(connection, "2026-02-28", leap_day_rule="february_28")
    assert counts(greet(connection, "2026-03-01", leap_day_rule="march_1")[1]) == (1, 0, 1, 0, 0)


def test_those_who_have_their_message_are_not_rendered_again(
    owner: psycopg.Connection, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_person(owner)
    greet(connection)
    late = add_person(owner)
    rendered: list[str] = []

    class Watched(Renderer):
        def render_parts(self, values: Any) -> Any:
            rendered.append(values["email"])
            return super().render_parts(values)

    monkeypatch.setattr(birthday_emails, "Renderer", Watched)
    assert counts(greet(connection)[1]) == (2, 1, 1, 0, 0)
    assert rendered == [f"conta{late}@example.com"]


def test_more_accounts_than_a_batch(
    owner: psycopg.Connection, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(birthday_emails, "BATCH", 3)
    accounts = [add_person(owner) for _ in range(8)]
    assert counts(greet(connection)[1]) == (8, 8, 0, 0, 0)
    assert greeted(owner) == accounts


def test_two_runs_at_once_greet_each_account_once(task_uri: str, owner: psycopg.Connection) -> None:
    for _ in range(20):
        add_person(owner)
    barrier = threading.Barrier(2)
    done: list[Outcome] = []

    def run() -> None:
        with psycopg.connect(task_uri, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
            barrier.wait(timeout=30)
            done.append(greet(connection)[1])

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(counts(outcome) for outcome in done) == [(20, 0, 20, 0, 0), (20, 20, 0, 0, 0)]
    assert len(greeted(owner)) == 20


def test_a_dry_run_names_who_would_be_greeted_and_writes_nothing(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    good = add_person(owner)
    wrong, out = _bad_email(owner), _opted_out(owner)
    run, outcome = greet(connection, dry_run=True)
    assert counts(outcome) == (3, 0, 0, 2, 1)
    assert outcome.details["note"] == "simulação: mensagens que seriam gravadas: 1; nenhuma foi"
    assert [item[1:4] for item in items(connection, run)] == [
        (good, "skipped", "dry_run"),
        (wrong, "failed", "invalid_email"),
        (out, "skipped", "opted_out"),
    ]
    assert messages(owner) == []
    assert owner.execute("select count(*) from crm.message_key").fetchone() == (0,)
    assert greet(connection)[1].changed == 1
    assert counts(greet(connection, dry_run=True)[1]) == (3, 0, 1, 1, 1)


# -- settings ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"days_late": -1}, "days_late"),
        ({"days_late": 32}, "days_late"),
        ({"days_late": "1"}, "days_late"),
        ({"days_late": True}, "days_late"),
        ({"days_late": None}, "days_late"),
        ({"leap_day_rule": "february_29"}, "leap_day_rule"),
        ({"template": "não existe"}, "template"),
        ({"audience": "não existe"}, "audience"),
        ({"audience": "errado"}, "audience errado, filter.any"),
        ({"gateway": "outro"}, "gateway"),
        ({"gateway": "opa"}, "gateway"),
        ({"gateway": "off"}, "gateway"),
        ({"subject": "Olá {{ apelido }}"}, "subject"),
        ({"subject": "Olá {{ name"}, "subject"),
        ({"subject": "Olá\r\nBcc: todos@example.com"}, "subject"),
        ({"subject": " "}, "subject"),
    ],
)
def test_wrong_settings_are_refused_and_nothing_is_written(
    owner: psycopg.Connection, connection: psycopg.Connection, params: dict[str, Any], field: str
) -> None:
    add_gateway(owner, "opa")
    add_gateway(owner, "off", kind="smtp", active=False)
    insert(owner, "crm.audience", name="errado", filter={"any": []})
    add_person(owner)
    check(connection)
    with pytest.raises(SettingError) as refused:
        check(connection, **params)
    assert refused.value.field == field
    with pytest.raises(SettingError):
        greet(connection, **params)
    assert messages(owner) == []


def test_the_gateway_is_named_where_there_is_not_one_alone(
    owner: psycopg.Connection, connection: psycopg.Connection, mail: int
) -> None:
    other = add_gateway(owner, "outro", kind="smtp")
    with pytest.raises(SettingError, match=r"gateway.*mail, outro"):
        check(connection)
    add_person(owner)
    greet(connection, gateway="outro")
    assert messages(owner)[0]["gateway_id"] == other
    owner.execute("update crm.gateway set active = false")
    with pytest.raises(SettingError, match="gateway"):
        check(connection)


def test_what_is_left_empty_is_the_default(
    owner: psycopg.Connection, connection: psycopg.Connection, mail: int
) -> None:
    empty = {"template": "", "subject": "", "audience": "", "gateway": ""}
    add_person(owner, name="Ana")
    check(connection, **empty)
    assert greet(connection, **empty)[1].changed == 1
    (message,) = messages(owner)
    assert message["payload"]["subject"] == "Feliz aniversário, Ana!"
    assert message["gateway_id"] == mail


def test_the_trigger_form_offers_what_is_accepted(connection: psycopg.Connection) -> None:
    params = runpy.run_path(str(DAG_FILE))["PARAMS"]
    check(connection, **{name: param.value for name, param in params.items()})
    assert params["leap_day_rule"].schema["enum"] == list(birthday_emails.LEAP_DAY_RULES)
    assert params["days_late"].schema["maximum"] == birthday_emails.MOST_DAYS_LATE


@pytest.mark.parametrize(("base_url", "keys"), [(BASE_URL, []), ("rotina", KEYS)])
def test_without_what_unsubscribe_links_take_nothing_is_written(
    owner: psycopg.Connection, connection: psycopg.Connection, base_url: str, keys: list[str]
) -> None:
    def open_wrong_links() -> Link:
        return partial(unsubscribe_url, base_url, keys)

    add_person(owner)
    with pytest.raises(SettingError):
        check_settings(connection, {}, open_links=open_wrong_links)
    with pytest.raises(SettingError):
        do_work(connection, partial(write_messages, open_links=open_wrong_links), DAY, **ROUTINE)
    assert messages(owner) == []
