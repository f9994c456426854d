"""The team is told once a day of each problem and once of its end, whatever breaks on the way to it."""

from __future__ import annotations

import datetime as dt
import email
import email.policy
import os
import signal
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from typing import Any

import psycopg
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from rotina.errors import MaybeSentError, NotSentError, SettingError
from rotina.files.alerts import Problem, in_words
from rotina.hooks.mail import MailHook
from rotina.local.mailbox import Mailbox
from rotina.local.settings import REPOSITORY
from rotina.runs.summary import REASON_TITLES, RECORD_TITLES
from tests.files.monitor_data import (
    Team,
    add_batch,
    local,
    look,
    open_monitor,
    set_up_batch,
    tell,
    text_of,
)
from tests.messaging.queue_data import add_gateway
from tests.runs.conftest import airflow_connections, mailbox, smtp_connection, smtp_port  # noqa: F401
from tests.runs_by_hand import items

pytestmark = pytest.mark.usefixtures("airflow_connections")


@pytest.fixture
def team(
    owner: psycopg.Connection,
    connection: psycopg.Connection,
    task_uri: str,
    mailbox: Mailbox,  # noqa: F811
) -> Team:
    """The monitor, with somebody to tell and one problem: the batch of 19 November is missing."""
    owner.execute("insert into crm.routine_recipient values ('*', 'operacao@example.com')")
    set_up_batch(owner, "2026-11-19")
    return Team(connection, task_uri, mailbox)


def pause(owner: psycopg.Connection, code: str = "opa") -> None:
    """Another problem: a gateway that was paused by an error."""
    add_gateway(
        owner, code, paused_at=local("2026-11-20 09:30"), paused_by="queue_dispatch", pause_reason="HTTP 401"
    )


def resume(owner: psycopg.Connection) -> None:
    owner.execute("update crm.gateway set paused_at = null, paused_by = null, pause_reason = null")


def statuses(owner: psycopg.Connection) -> list[tuple[Any, ...]]:
    return owner.execute(
        "select subject, raised_on::text, mail_status, ended_at is not null, recovery_status from crm.alert "
        "order by id"
    ).fetchall()


# -- a problem and the days -------------------------------------------------------------------------------


def test_a_problem_that_lasts_is_told_once_a_day_and_once_when_it_is_over(
    owner: psycopg.Connection, team: Team
) -> None:
    pause(owner)
    mails = {}
    at = local("2026-11-20 09:30")
    while at < local("2026-11-23 02:00"):
        if at == local("2026-11-22 13:30"):
            resume(owner)
        if text := team.watch(at):
            mails[f"{at:%d %H:%M}"] = text.partition("CONTINUA ABERTO")[0]
        at += dt.timedelta(hours=1)
    paused = [when for when, text in mails.items() if "está pausado" in text]
    assert paused == ["20 09:30", "21 00:30", "22 00:30", "22 13:30"]
    assert "desde 20/11/2026 09:30)" in mails["22 00:30"]
    assert "Começou em 20/11/2026 09:30, acabou em 22/11/2026 13:30, durou 2 dias e 4 h." in mails["22 13:30"]
    assert statuses(owner)[:2] == [
        ("2026-11-19", "2026-11-20", "sent", True, None),
        ("opa", "2026-11-20", "sent", True, None),
    ]
    assert ("opa", "2026-11-22", "sent", True, "sent") in statuses(owner)


def test_midnight_is_that_of_the_team(owner: psycopg.Connection, team: Team) -> None:
    assert team.watch("2026-11-20 23:59") is not None
    assert team.watch("2026-11-21 00:00") is not None
    assert [row[1] for row in statuses(owner)] == ["2026-11-20", "2026-11-21"]


def test_the_equation_counts_what_is_told_and_what_was_told_before(
    owner: psycopg.Connection, team: Team
) -> None:
    team.watch("2026-11-20 09:30")
    assert team.last.counts == (1, 0, 0)
    pause(owner)
    team.watch("2026-11-20 10:00")
    assert team.last.counts == (1, 1, 0)
    assert team.last.seen.details == {"problems": 2, "recovered": 0}
    resume(owner)
    team.watch("2026-11-20 11:00")
    assert team.last.counts == (1, 1, 0)
    assert team.last.seen.details == {"problems": 1, "recovered": 1}
    selected, changed, unchanged = owner.execute(
        "select selected, changed, unchanged from crm.run order by id desc limit 1"
    ).fetchall()[0]
    assert (selected, changed, unchanged) == (2, 1, 1)
    team.watch("2026-11-20 12:00")
    assert team.last.counts == (0, 1, 0)


def test_a_problem_that_comes_back_on_the_same_day_is_not_told_again(
    owner: psycopg.Connection, team: Team
) -> None:
    pause(owner)
    told = [team.watch("2026-11-20 10:00")]
    for hour in range(11, 24, 2):
        resume(owner)
        told.append(team.watch(f"2026-11-20 {hour}:00"))
        owner.execute(
            "update crm.gateway set paused_at = now(), paused_by = 'queue_dispatch', pause_reason = 'again'"
        )
        told.append(team.watch(f"2026-11-20 {hour}:30"))
    assert [bool(text) for text in told] == [True, True, *[False] * (len(told) - 2)]
    # It is open again: the next day begins with it, and the next e-mail of this day lists it.
    add_gateway(
        owner, "sms", paused_at=local("2026-11-20 23:00"), paused_by="queue_dispatch", pause_reason="x"
    )
    text = team.watch("2026-11-20 23:45")
    assert text is not None
    assert "gateway opa (opa)" in text.partition("CONTINUA ABERTO")[2]
    text = team.watch("2026-11-21 00:00")
    assert text is not None
    assert "desde 20/11/2026 23:30" in text
    resume(owner)
    assert "RESOLVIDO" in (team.watch("2026-11-21 01:00") or "")


def test_a_problem_that_was_over_before_anybody_was_told_of_it_is_told_as_over(
    owner: psycopg.Connection, team: Team
) -> None:
    pause(owner)
    with pytest.raises(NotSentError):
        team.watch("2026-11-20 10:00", send=refuse)
    resume(owner)
    text = team.watch("2026-11-20 12:00")
    assert text is not None
    assert "está pausado" in text.partition("RESOLVIDO")[2]
    assert "durou 2 h" in text


def test_a_run_of_an_older_day_tells_nothing_twice(owner: psycopg.Connection, team: Team) -> None:
    """A run of yesterday that is cleared today looks at the present, and books it under today."""
    team.watch("2026-11-21 09:30")
    run = open_monitor(team.connection, local("2026-11-20 10:00"))
    look(team.connection, run, local("2026-11-21 10:00"))
    assert [row[1] for row in statuses(owner)] == ["2026-11-21"] * 2
    assert team.watch("2026-11-21 11:00") is None


# -- the e-mail -------------------------------------------------------------------------------------------


def test_the_e_mail_says_what_to_do_in_both_its_parts(owner: psycopg.Connection, team: Team) -> None:
    owner.execute("insert into crm.routine_recipient values ('delivery_monitor', 'dados@example.com')")
    owner.execute("insert into crm.routine_recipient values ('delivery_monitor', 'plantao@example.com')")
    owner.execute("insert into crm.app_user (login, name, email) values ('ana', 'Ana', 'ana@example.com')")
    add_batch(owner, "2026-11-19", made=False, files=(), error="<b>disco</b>\r\nBcc: x@example.com")
    pause(owner)
    run = open_monitor(team.connection, local("2026-11-20 10:00"), asked_by="ana")
    look(team.connection, run, local("2026-11-20 10:00"))
    tell(team.connection, team.task_uri, run)
    (mail,) = team.new_mails()
    assert mail["To"] == "dados@example.com, plantao@example.com"
    assert mail["From"] == "rotina@example.com"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Bcc"] is None
    assert mail["Subject"].startswith("[Rotina] ALERTA: Lote de arquivos de 19/11/2026 não foi gerado até")
    assert mail["Subject"].endswith("(e mais 1)")
    command = (
        "airflow backfill create --dag-id daily_file_batch --from-date 2026-11-19 --to-date 2026-11-19T23:59"
    )
    for kind in ("plain", "html"):
        content = text_of(mail, kind)
        assert command in content
        assert "HTTP 401" in content
        assert "Veja por que a última execução de daily_file_batch não terminou" in content
    assert "<b>disco</b>" in text_of(mail)
    assert "&lt;b&gt;disco&lt;/b&gt;" in text_of(mail, "html")
    assert text_of(mail).count("\r\n\r\n\r\n") == 0


def test_a_recovery_says_so_in_its_subject(owner: psycopg.Connection, team: Team) -> None:
    team.watch("2026-11-20 10:00")
    add_batch(owner, "2026-11-19", delivered="2026-11-20 10:05")
    run = open_monitor(team.connection, local("2026-11-20 11:00"))
    look(team.connection, run, local("2026-11-20 11:00"))
    tell(team.connection, team.task_uri, run)
    (mail,) = team.new_mails()
    assert mail["Subject"].startswith("[Rotina] Resolvido: Lote de arquivos de 19/11/2026")
    assert "durou 1 h" in text_of(mail, "html")


@pytest.mark.parametrize(
    ("duration", "words"),
    [
        (dt.timedelta(0), "0 min"),
        (dt.timedelta(seconds=59), "0 min"),
        (dt.timedelta(minutes=12), "12 min"),
        (dt.timedelta(hours=5), "5 h"),
        (dt.timedelta(hours=5, minutes=12), "5 h 12 min"),
        (dt.timedelta(days=1, minutes=59), "1 dia"),
        (dt.timedelta(days=3, hours=2, minutes=7), "3 dias e 2 h"),
    ],
)
def test_a_duration_in_words(duration: dt.timedelta, words: str) -> None:
    assert in_words(duration) == words


def test_what_is_named_in_a_run_has_a_title() -> None:
    assert "alert" in RECORD_TITLES
    assert "alert_maybe_sent" in REASON_TITLES
    assert Problem("a", "b", "c", "d").key == ("a", "b")


# -- when the e-mail does not get through -----------------------------------------------------------------


def refuse(message: EmailMessage) -> dict[str, str]:
    """A mail server that is not there."""
    raise NotSentError("connection refused")


def lose(message: EmailMessage) -> dict[str, str]:
    """A mail server that hangs up before it answers."""
    raise MaybeSentError("connection lost")


def test_what_was_not_sent_is_told_by_the_next_try_or_run(
    owner: psycopg.Connection,
    team: Team,
    smtp_port: int,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", smtp_connection(1))
    run = open_monitor(team.connection, local("2026-11-20 10:00"))
    look(team.connection, run, local("2026-11-20 10:00"))
    for _ in range(2):
        with pytest.raises(NotSentError):
            tell(team.connection, team.task_uri, run)
    assert statuses(owner) == [("2026-11-19", "2026-11-20", "pending", False, None)]
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", smtp_connection(smtp_port))
    assert team.watch("2026-11-20 11:00") is not None
    assert team.last.counts == (1, 0, 0)
    assert tell(team.connection, team.task_uri, run).selected == 0  # the first run, tried once more
    assert team.read() is None


def test_what_was_not_sent_for_days_is_told_once(owner: psycopg.Connection, team: Team) -> None:
    for day in (20, 21, 22):
        with pytest.raises(NotSentError):
            team.watch(f"2026-11-{day} 10:00", send=refuse)
    text = team.watch("2026-11-22 11:00")
    assert text is not None
    for day in (19, 20, 21):
        assert text.count(f"Lote de arquivos de {day}/11/2026 não foi gerado") == 1
    assert text.count("(desde 20/11/2026 10:00)") == 1
    assert team.watch("2026-11-22 12:00") is None


def test_nobody_knows_whether_it_was_sent_so_it_is_not_sent_again(
    owner: psycopg.Connection, team: Team
) -> None:
    assert team.watch("2026-11-20 10:00", send=lose) is None
    assert team.last.counts == (0, 0, 1)
    assert "não se sabe se um e-mail de alerta chegou (connection lost)" in team.last.told.details["alert"]
    ((kind, name, outcome, reason, detail),) = items(team.connection, team.last.run)
    assert (kind, name, outcome, reason) == (
        "alert",
        "batch_missing 2026-11-19",
        "failed",
        "alert_maybe_sent",
    )
    assert "Lote de arquivos" in detail
    assert team.watch("2026-11-20 11:00") is None
    assert team.last.counts == (0, 1, 0)
    assert "alert" not in team.last.told.details
    assert team.watch("2026-11-21 00:00") is not None  # the next day it is told again


def test_a_recovery_that_may_have_been_sent_is_not_sent_again(owner: psycopg.Connection, team: Team) -> None:
    team.watch("2026-11-20 10:00")
    add_batch(owner, "2026-11-19", delivered="2026-11-20 10:05")
    team.watch("2026-11-20 11:00", send=lose)
    assert team.last.counts == (0, 0, 1)
    assert team.watch("2026-11-20 12:00") is None


def test_a_refused_recipient_is_named_and_the_others_are_told(owner: psycopg.Connection, team: Team) -> None:
    owner.execute("insert into crm.routine_recipient values ('*', 'ana@refused.example')")
    assert team.watch("2026-11-20 10:00") is not None
    assert team.last.counts == (1, 0, 0)
    assert "recusado para ana@refused.example: 550" in team.last.told.details["alert"]
    assert team.watch("2026-11-20 11:00") is None


@pytest.mark.parametrize("address", [None, "ana@", "ana@exämple.com, <"])
def test_without_a_recipient_nothing_is_lost(
    owner: psycopg.Connection, team: Team, address: str | None
) -> None:
    owner.execute("delete from crm.routine_recipient")
    if address:
        owner.execute("insert into crm.routine_recipient values ('*', %s)", [address])
    with pytest.raises(SettingError, match="recipients of the alerts"):
        team.watch("2026-11-20 10:00")
    owner.execute("delete from crm.routine_recipient")
    owner.execute("insert into crm.routine_recipient values ('*', 'operacao@example.com')")
    assert team.watch("2026-11-20 11:00") is not None


def test_an_address_that_is_none_keeps_the_alert_from_nobody_else(
    owner: psycopg.Connection, team: Team
) -> None:
    owner.execute("insert into crm.routine_recipient values ('*', 'ana@'), ('*', 'ana@exämple.com, <')")
    assert "não foi gerado" in (team.watch("2026-11-20 10:00") or "")
    assert team.last.counts == (1, 0, 0)
    assert "ana@:" in team.last.told.details["alert"]
    assert "ana@exämple.com, <:" in team.last.told.details["alert"]
    assert team.watch("2026-11-20 11:00") is None


def test_a_name_with_a_line_break_keeps_the_alert_from_nobody(owner: psycopg.Connection, team: Team) -> None:
    owner.execute("delete from crm.daily_file_setting")
    pause(owner)
    owner.execute("update crm.gateway set name = E'Opa!\r\nSuite'")
    team.watch("2026-11-20 10:00")
    assert team.last.counts == (1, 0, 0)


def test_without_news_nobody_needs_to_receive_them(owner: psycopg.Connection, team: Team) -> None:
    owner.execute("delete from crm.routine_recipient")
    assert team.watch("2026-11-20 08:00") is None


# -- two at once, and SIGKILL -----------------------------------------------------------------------------


def test_two_monitors_at_once_tell_the_team_once(
    owner: psycopg.Connection, team: Team, task_uri: str
) -> None:
    at = local("2026-11-20 10:00")
    together = threading.Barrier(2)
    outcomes = []

    def monitor() -> None:
        with psycopg.connect(task_uri, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
            run = open_monitor(connection, at)
            together.wait(30)
            seen = look(connection, run, at)
            together.wait(30)
            told = tell(connection, task_uri, run)
            outcomes.append((seen.selected, told.changed))

    threads = [threading.Thread(target=monitor) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(outcomes) == [(0, 0), (0, 1)]
    assert len(team.new_mails()) == 1


class _StopsAt:
    """A mail server that takes mail, and stops before or after it has one until it may go on."""

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self.reached, self.go_on = threading.Event(), threading.Event()
        self.taken: list[bytes] = []

    def _stop_at(self, stage: str) -> None:
        if stage == self._stage:
            self.reached.set()
            self.go_on.wait(60)

    async def handle_MAIL(  # noqa: N802 - as aiosmtpd calls it
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self._stop_at("before")
        envelope.mail_from = address
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        self.taken.append(envelope.content)
        self._stop_at("after")
        return "250 OK"


@contextmanager
def mail_server(handler: _StopsAt) -> Iterator[int]:
    """A real mail server; its port."""
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as probe:
        port = int(probe.server_address[1])
    controller = Controller(handler, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield port
    finally:
        handler.go_on.set()
        controller.stop()


def start_teller(task_uri: str, dag_run_id: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.files.teller", task_uri, dag_run_id],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": f"{REPOSITORY / 'plugins'}:{REPOSITORY}"},
        stdout=subprocess.PIPE,
        text=True,
    )


def wait_until(condition: Callable[[], Any], process: subprocess.Popen[str]) -> None:
    while not condition():
        assert process.poll() is None


@pytest.mark.parametrize(("stage", "taken"), [("before", 0), ("after", 1), ("noting", 1)])
def test_a_monitor_that_is_killed_while_it_tells_leaves_one_unknown_and_no_storm(
    owner: psycopg.Connection,
    team: Team,
    task_uri: str,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
    taken: int,
) -> None:
    """Killed before the server has the e-mail, after it has it, and when it is about to note so."""
    handler = _StopsAt("before" if stage == "before" else "after")
    run = open_monitor(team.connection, local("2026-11-20 10:00"))
    look(team.connection, run, local("2026-11-20 10:00"))
    with mail_server(handler) as port, psycopg.connect(database) as blocker:
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", smtp_connection(port))
        with start_teller(task_uri, run.dag_run_id) as teller:
            wait_until(handler.reached.is_set, teller)
            if stage == "noting":
                # Nobody may write to the alerts, so that what came of it cannot be noted.
                blocker.execute("lock table crm.alert in share mode")
                handler.go_on.set()
                blocked = "from pg_locks where not granted and relation = 'crm.alert'::regclass"
                wait_until(lambda: owner.execute(f"select {blocked}".encode()).rowcount, teller)
            teller.send_signal(signal.SIGKILL)
        if stage == "noting":
            # PostgreSQL ends the work of a client that is gone; here at once.
            owner.execute(f"select pg_terminate_backend(pid) {blocked}".encode())
        blocker.rollback()
        assert len(handler.taken) == taken
        assert statuses(owner)[0][2] == "sending"

        # Airflow tries the task again; then come the next runs of the day.
        handler.go_on.set()
        outcome = tell(team.connection, task_uri, run)
        assert (outcome.changed, outcome.failed) == (0, 1)
        assert "interrompido" in outcome.details["alert"]
        assert items(team.connection, run)[0][3] == "alert_maybe_sent"
        for hour in (11, 12):
            team.watch(f"2026-11-20 {hour}:00")
            assert team.last.counts == (0, 1, 0)
        assert len(handler.taken) == taken
        team.watch("2026-11-21 00:00")
        assert len(handler.taken) == taken + 1
    mail = email.message_from_bytes(handler.taken[-1], policy=email.policy.default)
    assert isinstance(mail, EmailMessage)
    assert "desde 20/11/2026 10:00" in text_of(mail)


def test_the_next_run_says_that_the_one_before_was_killed(
    owner: psycopg.Connection, team: Team, task_uri: str
) -> None:
    run = open_monitor(team.connection, local("2026-11-20 10:00"))
    look(team.connection, run, local("2026-11-20 10:00"))
    owner.execute("update crm.alert set mail_status = 'sending', mail_run_id = %s", [run.id])
    pause(owner)
    text = team.watch("2026-11-20 11:00")
    assert text is not None
    assert "gateway opa" in text.partition("CONTINUA ABERTO")[0]
    assert "Lote de arquivos" in text.partition("CONTINUA ABERTO")[2]
    assert team.last.counts == (1, 1, 0)
    assert (
        "um envio anterior foi interrompido: Lote de arquivos de 19/11/2026 não foi gerado"
        in team.last.told.details["alert"]
    )


def test_a_run_whose_e_mail_went_out_but_whose_step_was_lost_counts_it(
    owner: psycopg.Connection, team: Team, task_uri: str
) -> None:
    run = open_monitor(team.connection, local("2026-11-20 10:00"))
    look(team.connection, run, local("2026-11-20 10:00"))
    tell(team.connection, task_uri, run)
    owner.execute("delete from crm.run_step where step = 'tell'")
    owner.execute("update crm.run set selected = unchanged, changed = 0")
    assert tell(team.connection, task_uri, run).changed == 1
    assert len(team.new_mails()) == 1


def test_the_mail_hook_is_what_tells(team: Team) -> None:
    """The tests above send with what the task sends with."""
    assert team.watch("2026-11-20 10:00", send=MailHook().send) is not None
