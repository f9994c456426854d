"""Benchmarks of birthday_emails: the greetings of one day, from the accounts to the mail server."""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
import statistics
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import aiosmtplib
import jinja2
import psycopg
from cryptography.fernet import Fernet

from benchmarks.harness import Result, Sizes, benchmark, database, timed
from benchmarks.queue_dispatch import MAIL_CONNECTIONS, SENDER, Queue, Send, dispatching, rate, sink_endpoint
from benchmarks.stubs import smtp_sink
from rotina.accounts.audiences import open_audience
from rotina.messaging import birthday_emails as routine
from rotina.messaging.adapters import SmtpEndpoint
from rotina.messaging.email_templates import (
    EmailTemplateSettings,
    Parts,
    Renderer,
    save_email_template,
)
from rotina.messaging.unsubscribe import unsubscribe_url
from rotina.runs import record
from rotina.runs.agenda import load_agenda
from rotina.runs.business_date import today_in
from rotina.runs.record import Outcome, RunRequest
from rotina.runs.summary import LAYOUTS
from rotina.sql import statement

DAY = dt.date(2026, 11, 20)
#: Fifty years of birthdays.
FIRST_ON, DAYS = dt.date(1950, 1, 1), 18_262
ROUNDS = 5
RENDERED = 20_000

SUBJECT = "Feliz aniversário, {{ first_name }}!"
PREHEADER = "Hoje o dia é seu."
CONTENT = (
    "<h1>Feliz aniversário, {{ first_name }}!</h1>"
    "<p>{% if age %}Parabéns pelos seus {{ age }} anos.{% endif %} É muito bom ter você conosco.</p>"
)
#: What the bare loops render: the same e-mail, in one piece.
HTML = (
    (LAYOUTS / "email.html.j2")
    .read_text(encoding="utf-8")
    .replace("{{ preheader }}", PREHEADER)
    .replace("{{ content }}", CONTENT)
)
TEXT = "Feliz aniversário, {{ name }}!\n\nDescadastro: {{ unsubscribe_url }}\n"
TEMPLATE = EmailTemplateSettings(
    routine.TEMPLATE, SUBJECT, CONTENT, TEXT, preheader=PREHEADER, company="Empresa"
)

BASE_URL = "https://rotina.example.com"
KEY = "c29tZSBieXRlcyB0aGF0IGFyZSBubyBzZWNyZXQgISE="

_link = partial(unsubscribe_url, BASE_URL, [KEY])
_SQL = Path(__file__).parent / "sql"
_numbers = itertools.count(1)


@benchmark
def birthday_emails(sizes: Sizes) -> list[Result]:
    """The step of the run that selects, renders and enqueues the day's birthdays, and parts of it.

    `enqueue` is all of it, in one transaction, with the run's lock and bookkeeping. `sql` is the same without
    rendering: every e-mail is one and the same, of that size. `select` is the one statement that finds whom
    to greet, with keys, addresses and reasons. `rerun` finds all of them written. The bare SELECT fetches the
    same accounts: by the index, or by reading the table, as it would be without one.
    """
    seconds: dict[str, list[float]] = {}

    with database() as uri, _connect(uri) as connection:
        _add_accounts(connection, sizes.accounts, FIRST_ON, DAYS)
        Queue(uri, kind="smtp", settings={"connections": MAIL_CONNECTIONS})
        save_email_template(connection, TEMPLATE, "bench")
        found = len(_bare_accounts(connection))
        print(f"    {found:,} of {sizes.accounts:,} accounts")

        for _round in range(ROUNDS):
            with _measured("bare SELECT by the index", seconds):
                _bare_accounts(connection)
            with _without_index(connection), _measured("bare SELECT without an index", seconds):
                _bare_accounts(connection)
            _empty(connection)
            with connection.transaction(force_rollback=True):
                audience_id = open_audience(connection, None, DAY)
                with _measured("select", seconds):
                    connection.execute(
                        statement("birthday_emails/select_accounts"),
                        {
                            "birthdays": routine.birthdays_of(DAY, routine.LEAP_DAY_RULE),
                            "business_date": DAY,
                            "year": DAY.year,
                            "audience_id": audience_id,
                            "too_late": False,
                            "unicode_emails": [],
                            "spellings": [],
                        },
                    )
            with patch.object(routine, "Renderer", _SameForAll), _measured("sql", seconds):
                assert _greet(connection).changed == found
            _empty(connection)
            with _measured("enqueue", seconds):
                assert _greet(connection).changed == found
            with _measured("rerun", seconds):
                assert _greet(connection).unchanged == found
    median = {name: statistics.median(found) for name, found in seconds.items()}

    def result(name: str, measured: str, baseline: str, goal: str | None) -> Result:
        return Result(f"birthday_emails.{name}", median[measured], "s", baseline, median[baseline], goal)

    return [
        Result("birthday_emails.enqueue", median["enqueue"], "s", "limit in s", 1.0, "<= 1"),
        result("select", "select", "bare SELECT by the index", "<= 4"),
        result("sql", "sql", "bare SELECT without an index", "<= 3"),
        result("sql_by_index", "sql", "bare SELECT by the index", None),
        result("rerun", "rerun", "enqueue", None),
    ]


@benchmark
def birthday_emails_render(_: Sizes) -> list[Result]:
    """Rendering, against a loop that renders the same three templates with Jinja alone."""
    html, plain = jinja2.Environment(autoescape=True), jinja2.Environment(autoescape=False)
    parts = [plain.from_string(SUBJECT), html.from_string(HTML), plain.from_string(TEXT)]
    renderer = Renderer(TEMPLATE)
    values = [_values(number) for number in range(RENDERED)]
    whole = renderer.render(values[0])
    subject, body, text = (part.render(values[0]) for part in parts)
    assert [part.rstrip() for part in whole] == [subject, body, text]
    rendered, bare = [], []
    for _round in range(ROUNDS):
        with timed("bare Jinja loop") as seconds:
            for one in values:
                for part in parts:
                    part.render(one)
        bare.append(RENDERED / seconds[0])
        with timed("Renderer") as seconds:
            for one in values:
                renderer.render(one)
        rendered.append(RENDERED / seconds[0])
    return [
        Result(
            "birthday_emails.render",
            statistics.median(rendered),
            "/s",
            "bare Jinja loop",
            statistics.median(bare),
            ">= 0.9",
        )
    ]


@benchmark
def birthday_emails_end_to_end(sizes: Sizes) -> list[Result]:
    """From the accounts to the mail server: the routine writes the e-mails and a dispatcher sends them.

    Against a loop that selects the same accounts, makes their unsubscribe links, renders the same templates
    with Jinja, builds the e-mails and sends them over connections that stay open, and keeps no state.
    """
    number = sizes.messages // 10
    sent, bare = [], []
    with database() as uri, smtp_sink() as port, _connect(uri) as connection:
        today = today_in(load_agenda().entry(routine.ROUTINE).zone)
        _add_accounts(connection, number, today.replace(year=1992), 1)
        Queue(uri, kind="smtp", settings={"connections": MAIL_CONNECTIONS})
        save_email_template(connection, TEMPLATE, "bench")
        endpoint = sink_endpoint(port)
        for _round in range(ROUNDS):
            bare.append(rate(number, bare_greetings, uri, port, today))
            _empty(connection)
            sent.append(rate(number, greetings, uri, endpoint, today))
            counts = connection.execute("select status, count(*) from crm.message group by 1").fetchall()
            assert counts == [("sent", number)], counts
    return [
        Result(
            "birthday_emails.end_to_end",
            statistics.median(sent),
            "/s",
            "bare select, Jinja and aiosmtplib loop",
            statistics.median(bare),
            ">= 0.9",
        )
    ]


@asynccontextmanager
async def greetings(uri: str, endpoint: SmtpEndpoint, day: dt.date) -> AsyncIterator[Send]:
    """The step of the routine, then a dispatcher that sends what it wrote."""
    with _connect(uri) as connection:
        async with dispatching(uri, endpoint) as dispatch:

            async def send() -> None:
                _greet(connection, day)
                await dispatch()

            yield send


@asynccontextmanager
async def bare_greetings(uri: str, port: int, day: dt.date) -> AsyncIterator[Send]:
    """A loop that selects, renders, builds and sends."""
    html, plain = jinja2.Environment(autoescape=True), jinja2.Environment(autoescape=False)
    fernet = Fernet(KEY)
    subject, body, text = plain.from_string(SUBJECT), html.from_string(HTML), plain.from_string(TEXT)
    clients = [aiosmtplib.SMTP(hostname="127.0.0.1", port=port) for _ in range(MAIL_CONNECTIONS)]
    for client in clients:
        await client.connect(start_tls=False)

    async def work(client: aiosmtplib.SMTP, accounts: Iterator[tuple[Any, ...]]) -> None:
        for number, name, email, _ in accounts:
            url = f"{BASE_URL}/rotina/unsubscribe/{fernet.encrypt(f'email:{email}'.encode()).decode()}"
            values = {**_values(number), "name": name, "email": email, "unsubscribe_url": url}
            mail = EmailMessage(policy=SMTP)
            mail["From"] = SENDER
            mail["To"] = email
            mail["Subject"] = subject.render(values)
            mail["Date"] = format_datetime(dt.datetime.now(dt.UTC))
            mail["Message-ID"] = make_msgid(str(number), "example.com")
            mail["Auto-Submitted"] = "auto-generated"
            mail["List-Unsubscribe"] = f"<{url}>"
            mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
            mail.set_content(text.render(values))
            mail.add_alternative(body.render(values), subtype="html")
            refused, _answer = await client.send_message(mail)
            assert not refused, refused

    with _connect(uri) as connection:

        async def send() -> None:
            accounts = iter(_bare_accounts(connection, day))
            await asyncio.gather(*(work(client, accounts) for client in clients))

        yield send
    for client in clients:
        await client.quit()


class _SameForAll:
    """A renderer that renders one e-mail and gives it to everybody."""

    def __init__(self, template: EmailTemplateSettings) -> None:
        renderer = Renderer(template)
        self.frame = renderer.frame
        self._parts = renderer.render_parts(_values(1))

    def render_parts(self, _values: dict[str, Any]) -> Parts:
        return self._parts


def _values(number: int) -> dict[str, Any]:
    """What a template gets of an account."""
    return {
        "name": f"Cliente {number}",
        "first_name": "Cliente",
        "email": f"cliente{number:08d}@example.com",
        "birth_on": dt.date(1990, 11, 20),
        "age": 36,
        "business_date": DAY,
        "company": TEMPLATE.company,
        "unsubscribe_url": f"https://example.com/rotina/unsubscribe/65f0c0de0000000000000001{number:032d}",
    }


def _connect(uri: str) -> psycopg.Connection:
    return psycopg.connect(uri, autocommit=True, cursor_factory=psycopg.ClientCursor)


def _add_accounts(connection: psycopg.Connection, number: int, first_on: dt.date, days: int) -> None:
    _execute(connection, "add_birthday_accounts", number=number, first_on=first_on, days=days)
    connection.execute("vacuum analyze crm.account")


def _bare_accounts(connection: psycopg.Connection, day: dt.date = DAY) -> list[tuple[Any, ...]]:
    birthdays = routine.birthdays_of(day, routine.LEAP_DAY_RULE)
    return _execute(connection, "bare_birthday_accounts", birthdays=birthdays).fetchall()


@contextmanager
def _without_index(connection: psycopg.Connection) -> Iterator[None]:
    with connection.transaction():
        connection.execute("set local enable_indexscan = off")
        connection.execute("set local enable_bitmapscan = off")
        yield


def _greet(connection: psycopg.Connection, day: dt.date = DAY) -> Outcome:
    """The step of a run as its task does it, at seven o'clock of the day."""
    dag_run_id = f"bench_{next(_numbers)}_{id(connection)}"
    request = RunRequest(routine.ROUTINE, "crm304rp", dag_run_id, "manual", day, None, {"days_late": 1})
    run = record.open_run(connection, request)
    now = dt.datetime.combine(day, dt.time(7), load_agenda().entry(routine.ROUTINE).zone)
    with record.routine_lock(connection, run.routine):
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with connection.transaction():
            outcome = routine.write_messages(connection, run, open_links=lambda: _link, now=now)
            record.record_step(connection, run.id, "write", outcome)
    connection.isolation_level = None
    return outcome


def _empty(connection: psycopg.Connection) -> None:
    connection.execute("truncate crm.message, crm.message_key, crm.message_attempt, crm.run cascade")
    for table in ("message", "message_key", "account"):
        connection.execute(f"vacuum analyze crm.{table}".encode())
    connection.execute("checkpoint")


@contextmanager
def _measured(name: str, seconds: dict[str, list[float]]) -> Iterator[None]:
    with timed(name) as measured:
        yield
    seconds.setdefault(name, []).extend(measured)


def _execute(connection: psycopg.Connection, name: str, **values: object) -> psycopg.Cursor:
    return connection.execute((_SQL / f"{name}.sql").read_text(encoding="utf-8"), values)
