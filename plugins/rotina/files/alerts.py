"""Alerts: the team is told of a problem once a day while it lasts, and once when it is over.

`update` writes down what the monitor found, in the transaction of its run; `tell` sends all that is new in
one e-mail. The claim of the e-mail is committed before the mail server is called: whoever is killed while
sending leaves *unknown*, which is never sent again. What was surely not sent stays pending for the next run.
Both run under the lock of the routine, so that whoever is found in the middle of sending is dead.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from email.message import EmailMessage
from email.utils import localtime
from itertools import groupby
from typing import Any, Literal
from zoneinfo import ZoneInfo

import psycopg
from psycopg.rows import class_row, dict_row, scalar_row

from rotina.errors import MaybeSentError, NotSentError, SettingError
from rotina.runs.record import Outcome, Run
from rotina.runs.summary import load_layout, recipients_of
from rotina.sql import statement

LAYOUT = "delivery_alert"

#: Headings of the e-mail, by the first word of the kind of problem.
AREA_TITLES = {
    "batch": "Lote diário de arquivos",
    "routine": "Rotinas",
    "queue": "Fila de mensagens",
    "gateway": "Gateways de mensagens",
    "dispatch": "Envio da fila",
}


@dataclass(frozen=True)
class Problem:
    """Something that the team has to know: a kind of problem, what has it (subject), and words for people."""

    kind: str
    subject: str
    message: str
    remedy: str
    command: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What makes it one problem, however it is worded."""
        return self.kind, self.subject


@dataclass(frozen=True)
class Update:
    """What `update` did with the problems of a run."""

    found: int
    told_before: int
    recovered: int


@dataclass(frozen=True)
class _Open:
    id: int
    problem: str
    subject: str
    raised_on: dt.date
    began_at: dt.datetime


@dataclass(frozen=True)
class _Told:
    """A line of an e-mail: a row of include/sql/alerts/list_to_tell.sql."""

    id: int
    problem: str
    subject: str
    message: str
    remedy: str
    command: str | None
    began_at: dt.datetime
    raised_at: dt.datetime
    ended_at: dt.datetime | None
    part: Literal["new", "over", "lasting"]

    @property
    def area(self) -> str:
        return AREA_TITLES[self.problem.partition("_")[0]]


@dataclass(frozen=True)
class _Mail:
    """An e-mail that was claimed: what it tells, to whom, and why not to some (by address)."""

    message: EmailMessage
    unusable: dict[str, str]
    alert_ids: list[int]
    recovery_ids: list[int]


def update(
    connection: psycopg.Connection,
    problems: Sequence[Problem],
    judged: Mapping[str, Collection[str]],
    at: dt.datetime,
    day: dt.date,
) -> Update:
    """Write down which problems there are, inside the transaction of the caller.

    A problem that is gone is over, and the team is told so, if it was looked for: an alert whose subject is
    not among the judged ones of its kind ends without a word.

    Args:
        connection: of the task role.
        problems: all that were found, each key once.
        judged: by kind, the subjects that were looked at.
        at: when that was.
        day: the day that `at` is for the team.
    """
    with connection.cursor(row_factory=class_row(_Open)) as cursor:
        before = cursor.execute(statement("alerts/list_open")).fetchall()
    found = {problem.key: problem for problem in problems}
    gone = [alert for alert in before if (alert.problem, alert.subject) not in found]
    recovered = [alert.subject in judged.get(alert.problem, ()) for alert in gone]
    of_other_days = [alert for alert in before if alert not in gone and alert.raised_on != day]
    ended = {
        "ids": [alert.id for alert in (*gone, *of_other_days)],
        "recovered": [*recovered, *(False for _ in of_other_days)],
        "at": at,
    }
    connection.execute(statement("alerts/end_alerts"), ended)
    began = {(alert.problem, alert.subject): alert.began_at for alert in before}
    raised = {
        "problems": [problem.kind for problem in problems],
        "subjects": [problem.subject for problem in problems],
        "messages": [problem.message for problem in problems],
        "remedies": [problem.remedy for problem in problems],
        "commands": [problem.command for problem in problems],
        "began_at": [began.get(problem.key, at) for problem in problems],
        "day": day,
        "at": at,
    }
    connection.execute(statement("alerts/raise_alerts"), raised)
    with connection.cursor(row_factory=scalar_row) as cursor:
        (told_before,) = cursor.execute(statement("alerts/count_told")).fetchall()
    return Update(len(problems), told_before, sum(recovered))


def tell(
    connection: psycopg.Connection,
    books: psycopg.Connection,
    run: Run,
    zone: ZoneInfo,
    run_url: str,
    send: Callable[[EmailMessage], dict[str, str]],
) -> Outcome:
    """Tell the team in one e-mail what is new and what is over; nothing is sent when there is neither.

    Args:
        connection: in the transaction that records the step.
        books: another connection, in autocommit, for what must be committed before and after the sending.
        run: the run of the monitor, whose lock the caller holds.
        zone: of the times in the e-mail.
        run_url: where the run can be seen.
        send: hands the e-mail over, as rotina.hooks.mail.MailHook.send.

    Returns:
        The equation over what the e-mail told. What may have been told or not counts as failed, and `details`
        has an `alert` that fails the run; so it has when some recipients were refused or are no addresses.

    Raises:
        NotSentError: the mail server did not take it; all of it is told by the next try or run.
        SettingError: nobody is set to receive it, or no address is one; the same.
    """
    lost, refused = [], {}
    with books.cursor(row_factory=scalar_row) as cursor:
        interrupted = cursor.execute(statement("alerts/give_up_interrupted")).fetchall()
    if interrupted:
        lost.append(f"um envio anterior foi interrompido: {_shortened(interrupted)}")
    mail = _claim(books, run, zone, run_url)
    if mail:
        try:
            refused = mail.unusable | send(mail.message)
        except MaybeSentError as error:
            _finish(books, mail, "unknown")
            lost.append(str(error))
        except (NotSentError, SettingError):
            _finish(books, mail, "pending")
            raise
        else:
            _finish(books, mail, "sent")
    alerts = []
    if lost:
        alerts.append(
            f"não se sabe se um e-mail de alerta chegou ({'; '.join(lost)}); ele não é enviado de novo: "
            "veja os avisos na tabela crm.alert"
        )
    if refused:
        answers = ", ".join(f"{who}: {answer}" for who, answer in refused.items())
        alerts.append(f"o e-mail de alerta foi recusado para {answers}")
    return _outcome(connection, run, "; ".join(alerts))


def _claim(books: psycopg.Connection, run: Run, zone: ZoneInfo, run_url: str) -> _Mail | None:
    """Take everything that is to be told and write the e-mail; None when there is nothing."""
    with books.transaction(), books.cursor(row_factory=class_row(_Told)) as cursor:
        claimed = [
            cursor.execute(statement(f"alerts/{name}"), {"run_id": run.id}).rowcount
            for name in ("claim_alerts", "claim_recoveries")
        ]
        if not any(claimed):
            return None
        rows = cursor.execute(statement("alerts/list_to_tell"), {"run_id": run.id}).fetchall()
        # Whoever asked for this run, it is the team that has to know.
        recipients = recipients_of(books, replace(run, asked_by=None))
        if not recipients:
            raise SettingError(
                "recipients of the alerts",
                None,
                f"nobody is set to receive them; add a row to crm.routine_recipient for {run.routine} or *",
            )
        addresses = [str(recipient) for recipient in recipients]
        unusable = {address: problem for address in addresses if (problem := _problem_of(address))}
        usable = [address for address in addresses if address not in unusable]
        if not usable:
            raise SettingError(
                "recipients of the alerts", ", ".join(addresses), "none of them can be written to"
            )
        message = compose(rows, run, usable, zone, run_url)
    return _Mail(
        message,
        unusable,
        [row.id for row in rows if row.part == "new"],
        [row.id for row in rows if row.part == "over"],
    )


def compose(
    rows: Sequence[_Told], run: Run, recipients: Sequence[str], zone: ZoneInfo, run_url: str
) -> EmailMessage:
    """The e-mail about alerts, without a sender. Each recipient must be an address."""
    new, over, lasting = ([row for row in rows if row.part == part] for part in ("new", "over", "lasting"))

    def moment(at: dt.datetime) -> str:
        return f"{at.astimezone(zone):%d/%m/%Y %H:%M}"

    context = {
        "program": run.program,
        "areas": [
            {"title": area, "groups": _groups(list(of_area), moment)}
            for area, of_area in groupby(sorted(new, key=_place), key=lambda row: row.area)
        ],
        "new": len(new),
        "over": [
            {
                "message": row.message,
                "began_at": moment(row.began_at),
                "ended_at": moment(row.ended_at),
                "lasted": in_words(row.ended_at - row.began_at),
            }
            for row in sorted(over, key=_place)
            if row.ended_at
        ],
        "lasting": [
            {"message": row.message, "began_at": moment(row.began_at)} for row in sorted(lasting, key=_place)
        ],
        "run_url": run_url,
    }
    message = EmailMessage()
    message["Subject"] = _subject(new, over)
    message["To"] = ", ".join(recipients)
    message["Date"] = localtime()  # when the mail is written; not a business date
    message["Message-ID"] = f"<alert-{run.id}-{min(row.id for row in (*new, *over))}@rotina.local>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(load_layout(f"{LAYOUT}.txt.j2").render(context))
    message.add_alternative(load_layout(f"{LAYOUT}.html.j2").render(context), subtype="html")
    return message


def in_words(duration: dt.timedelta) -> str:
    """A duration as people say it in Portuguese: `3 dias e 2 h`, `5 h 12 min`, `12 min`."""
    days, minutes = duration.days, duration.seconds // 60
    hours, minutes = divmod(minutes, 60)
    if days:
        text = "1 dia" if days == 1 else f"{days} dias"
        return f"{text} e {hours} h" if hours else text
    return " ".join([f"{hours} h"] * bool(hours) + [f"{minutes} min"] * bool(minutes or not hours))


def _groups(rows: list[_Told], moment: Callable[[dt.datetime], str]) -> list[dict[str, Any]]:
    """Problems that are mended in the same way, together: their lines, what to do, the command."""
    return [
        {
            "lines": [
                {
                    "message": row.message,
                    "since": moment(row.began_at) if row.began_at < row.raised_at else None,
                }
                for row in lines
            ],
            "remedy": remedy,
            "command": command,
        }
        for (remedy, command), lines in (
            (key, list(group)) for key, group in groupby(rows, key=lambda row: (row.remedy, row.command))
        )
    ]


def _place(row: _Told) -> tuple[int, str, str, str, str]:
    """Where a line stands: by area, what is mended together side by side, in the order of the days."""
    return list(AREA_TITLES.values()).index(row.area), row.command or "", row.remedy, row.subject, row.problem


def _subject(new: Sequence[_Told], over: Sequence[_Told]) -> str:
    mark = "ALERTA" if new else "Resolvido"
    subject = f"[Rotina] {mark}: {_shortened([row.message for row in new or over])}"
    return " ".join(subject.split())  # a header has one line


def _shortened(messages: Sequence[str]) -> str:
    """The first of them, and how many more there are."""
    first, *others = messages
    return f"{first} (e mais {len(others)})" if others else first


def _problem_of(address: str) -> str | None:
    """Why an address cannot be written to; None when it can."""
    try:
        EmailMessage()["To"] = address
    except (ValueError, IndexError) as error:  # what the e-mail library says of an address that is none
        return f"não é um endereço ({error})"
    return None


def _finish(books: psycopg.Connection, mail: _Mail, status: str) -> None:
    values = {"alert_ids": mail.alert_ids, "recovery_ids": mail.recovery_ids, "status": status}
    books.execute(statement("alerts/finish_mail"), values)


def _outcome(connection: psycopg.Connection, run: Run, alert: str) -> Outcome:
    connection.execute(statement("alerts/record_items"), {"run_id": run.id})
    with connection.cursor(row_factory=dict_row) as cursor:
        (counts,) = cursor.execute(statement("alerts/count_run"), {"run_id": run.id}).fetchall()
    sent, unknown = counts["sent"], counts["unknown"]
    return Outcome(sent + unknown, sent, 0, 0, unknown, {"alert": alert} if alert else {})
