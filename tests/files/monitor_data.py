"""The delivery monitor in tests: what it looks at, its runs as its tasks make them, what the team gets."""

from __future__ import annotations

import datetime as dt
import email
import email.policy
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import psycopg

from rotina.files import alerts, delivery_monitor
from rotina.hooks.mail import MailHook
from rotina.local.mailbox import Mailbox
from rotina.runs import record
from rotina.runs.record import Outcome, Run
from tests.messaging.queue_data import insert
from tests.runs_by_hand import open_run

SAO_PAULO = ZoneInfo("America/Sao_Paulo")
FEEDS = ("orders", "orders_detail", "orders_detail_categories", "customers")
PARAMS = {"routine_days": 7, "margin_minutes": 240, "still_minutes": 30}
URL = "http://127.0.0.1:8080/dags/delivery_monitor/runs/test"

HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(days=1)

_numbers = itertools.count(1)

Send = Callable[[EmailMessage], dict[str, str]]


def local(text: str) -> dt.datetime:
    """A time of the wall clock in São Paulo, as `2026-11-20 10:00`."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=SAO_PAULO)


# -- what it looks at -------------------------------------------------------------------------------------


def set_up_batch(owner: psycopg.Connection, first: str, **fields: Any) -> None:
    """The daily file batch is expected from a business date on, each until 09:00 of the day after."""
    values = {"instance_id": "ACME", "updated_by": "ana", "updated_at": local(f"{first} 00:00"), **fields}
    insert(owner, "crm.daily_file_setting", first_business_date=first, **values)


def add_batch(
    owner: psycopg.Connection,
    business_date: str,
    *,
    delivered: str | None = None,
    acknowledged: str | None = None,
    made: bool = True,
    files: tuple[str, ...] = FEEDS,
    **fields: Any,
) -> int:
    """A batch of a day, made at 05:31 of the next and with all its files; verified as soon as delivered."""
    day = dt.date.fromisoformat(business_date)
    at = {name: local(text) if text else None for name, text in (("d", delivered), ("a", acknowledged))}
    generated = local(f"{day + DAY} 05:31") if made else None
    reached = {"generated_at": generated, "delivered_at": at["d"], "verified_at": at["d"]}
    values = {
        "due_at": local(f"{day + DAY} 09:00"),
        "sequence": next(_numbers) if made else None,
        "manifest_name": f"ICOMMKT_MANIFEST_ACME_{day:%Y%m%d}.json",
        **reached,
        "acknowledged_at": at["a"],
        **fields,
    }
    key = int(insert(owner, "crm.file_batch", business_date=day, **values)[0])
    for feed in files:
        insert(owner, "crm.file_batch_file", batch_id=key, feed=feed, name=feed, **reached)
    return key


def add_good_batches(owner: psycopg.Connection, first: str, last: str) -> None:
    """Batches that went out in time, of every day from `first` to `last`."""
    day = dt.date.fromisoformat(first)
    while day <= dt.date.fromisoformat(last):
        add_batch(owner, str(day), delivered=f"{day + DAY} 05:32")
        day += DAY


def add_run(
    owner: psycopg.Connection,
    routine: str,
    business_date: str,
    started: str,
    status: str = "succeeded",
    **fields: Any,
) -> None:
    """A run record of a routine."""
    at = local(started)
    values = {"run_type": "scheduled", "attempt": 1, "params": {}, "program": "test", **fields}
    insert(
        owner,
        "crm.run",
        routine=routine,
        business_date=business_date,
        dag_run_id=f"scheduled__{next(_numbers)}",
        status=status,
        started_at=at,
        ended_at=None if status == "running" else at + dt.timedelta(minutes=5),
        **values,
    )


# -- runs of the monitor ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Watched:
    """What a run of the monitor did."""

    run: Run
    seen: Outcome
    told: Outcome

    @property
    def counts(self) -> tuple[int, int, int]:
        """Problems found and over: told now, told before, failed to tell."""
        return self.told.changed, self.seen.unchanged, self.told.failed


def open_monitor(connection: psycopg.Connection, at: dt.datetime, **params: Any) -> Run:
    """A run record of the monitor, as `begin` opens it."""
    return open_run(
        connection,
        at.astimezone(SAO_PAULO).date(),
        routine="delivery_monitor",
        program="crm_monitor",
        **{**PARAMS, **params},
    )


def do_step(
    connection: psycopg.Connection, run: Run, name: str, work: Callable[[psycopg.Connection, Run], Outcome]
) -> Outcome:
    """A step of a run, as its task does it: under the lock of the routine, in one transaction."""
    with record.routine_lock(connection, run.routine):
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with connection.transaction():
            outcome = work(connection, run)
            record.record_step(connection, run.id, name, outcome)
        connection.isolation_level = None
    return outcome


def look(
    connection: psycopg.Connection, run: Run, at: dt.datetime, partner_problem: str | None = None
) -> Outcome:
    """The step that looks."""
    return do_step(
        connection,
        run,
        "look",
        lambda connection, run: delivery_monitor.look(connection, run, at, partner_problem),
    )


def tell(connection: psycopg.Connection, task_uri: str, run: Run, send: Send | None = None) -> Outcome:
    """The step that tells."""
    hand_over = send or MailHook().send
    with psycopg.connect(task_uri, autocommit=True, cursor_factory=psycopg.ClientCursor) as books:
        work = partial(alerts.tell, books=books, zone=SAO_PAULO, run_url=URL, send=hand_over)
        return do_step(connection, run, "tell", lambda connection, run: work(connection, run=run))


class Team:
    """The monitor, run by run, and the mailbox of the team."""

    def __init__(self, connection: psycopg.Connection, task_uri: str, mailbox: Mailbox) -> None:
        self.connection = connection
        self.task_uri = task_uri
        self._mailbox = mailbox
        self._read: set[str] = set()
        self.last: Watched

    def watch(
        self,
        at: str | dt.datetime,
        *,
        send: Send | None = None,
        partner_problem: str | None = None,
        **params: Any,
    ) -> str | None:
        """Run the monitor; returns the text of the one e-mail that came of it, or None."""
        now = local(at) if isinstance(at, str) else at
        run = open_monitor(self.connection, now, **params)
        seen = look(self.connection, run, now, partner_problem)
        told = tell(self.connection, self.task_uri, run, send)
        self.last = Watched(run, seen, told)
        return self.read()

    def read(self) -> str | None:
        """The text of the one new e-mail, None when there is none."""
        mails = self.new_mails()
        assert len(mails) <= 1
        return text_of(mails[0]) if mails else None

    def new_mails(self) -> list[EmailMessage]:
        """The e-mails that came since the last time."""
        paths = [path for path in sorted(self._mailbox.folder.glob("*.eml")) if path.name not in self._read]
        self._read.update(path.name for path in paths)
        mails = [email.message_from_bytes(path.read_bytes(), policy=email.policy.default) for path in paths]
        return [mail for mail in mails if isinstance(mail, EmailMessage)]


def text_of(mail: EmailMessage, kind: str = "plain") -> str:
    """The text part of an e-mail, or the HTML part."""
    part = mail.get_body((kind,))
    assert part is not None
    return str(part.get_content())
