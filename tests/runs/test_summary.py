"""The summary e-mail, composed from a real run record and sent to a real SMTP server."""

from __future__ import annotations

import email
import email.policy
import re
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from typing import get_args
from zoneinfo import ZoneInfo

import psycopg
import pytest

from rotina.errors import MaybeSentError, NotSentError, SettingError
from rotina.hooks.mail import MailHook
from rotina.local.mailbox import Mailbox
from rotina.messaging import operations
from rotina.messaging.outcome import Outcome as Attempt
from rotina.runs import record
from rotina.runs.record import Outcome, Run
from rotina.runs.summary import (
    OUTCOME_TITLES,
    REASON_TITLES,
    RECORD_TITLES,
    ROUTINE_TITLES,
    recipients_of,
    send_summary,
)
from rotina.sql import SQL_FOLDER
from tests.runs.conftest import smtp_connection
from tests.runs_by_hand import open_run

SAO_PAULO = ZoneInfo("America/Sao_Paulo")
URL = "http://127.0.0.1:8080/dags/account_data_refresh/runs/manual"

pytestmark = pytest.mark.usefixtures("airflow_connections")


def closed_run(connection: psycopg.Connection, status: str = "succeeded", **options: str) -> Run:
    run = open_run(connection, "2026-11-20", asked_by=options.get("asked_by"))
    record.record_step(connection, run.id, "refresh", Outcome(1234, 1000, 231, 2, 1, {"mode": "o que mudou"}))
    connection.execute(
        "insert into crm.run_item (run_id, record_kind, record_id, outcome, reason, detail) values "
        "(%(run)s, 'account', '7', 'failed', 'invalid_invoice', 'nota <b>NF-1</b>: sem valor'), "
        "(%(run)s, 'account', '8', 'skipped', 'not_linked', null), "
        "(%(run)s, 'invoice', '9', 'skipped', 'known_problem', null)",
        {"run": run.id},
    )
    record.close_run(connection, run.id, status, options.get("message"))
    return current(connection, run)


def current(connection: psycopg.Connection, run: Run) -> Run:
    found = record.latest_attempt(connection, run.routine, run.dag_run_id)
    assert found is not None
    return found


def know(connection: psycopg.Connection, login: str, address: str, *, active: bool = True) -> None:
    connection.execute(
        "insert into crm.app_user (login, name, email, active) values (%s, %s, %s, %s)",
        [login, f"Usuária {login}", address, active],
    )


def recipient(connection: psycopg.Connection, routine: str, address: str) -> None:
    connection.execute(
        "insert into crm.routine_recipient (routine, email) values (%s, %s)", [routine, address]
    )


def send(connection: psycopg.Connection, run: Run) -> str:
    return send_summary(connection, run, SAO_PAULO, URL, MailHook().send)


def stored(connection: psycopg.Connection, run: Run) -> tuple[object, ...]:
    row = connection.execute(
        "select summary_status, summary_to, summary_error from crm.run where id = %s", [run.id]
    ).fetchone()
    assert row is not None
    return row


def only_mail(mailbox: Mailbox) -> EmailMessage:
    (path,) = mailbox.folder.glob("*.eml")
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def test_the_asker_gets_the_summary(connection: psycopg.Connection, mailbox: Mailbox) -> None:
    know(connection, "ana", "ana@example.com")
    recipient(connection, "*", "operacao@example.com")
    run = closed_run(connection, asked_by="ana")
    assert send(connection, run) == "sent"
    assert stored(connection, run) == ("sent", ["ana@example.com"], None)
    mail = only_mail(mailbox)
    assert mail["To"] == "Usuária ana <ana@example.com>"
    assert mail["From"] == "rotina@example.com"
    assert mail["Subject"] == "[Rotina] Dados complementares das contas de 20/11/2026"
    text = mail.get_body(("plain",))
    html = mail.get_body(("html",))
    assert text is not None
    assert html is not None
    assert (
        "Selecionados 1.234 = alterados 1.000 + sem alteração 231 + ignorados 2 + com falha 1"
        in text.get_content()
    )
    for part in (text, html):
        content = part.get_content()
        assert "20/11/2026" in content
        assert "ana" in content
        assert "nota fiscal sem valor, com valor negativo ou sem data" in content
        assert "conta sem cliente no ERP" in content
        assert URL in content
    assert "&lt;b&gt;NF-1&lt;/b&gt;" in html.get_content()
    assert "<b>NF-1</b>" not in html.get_content()


@pytest.mark.parametrize(
    ("asked_by", "expected"),
    [
        (None, ["equipe@example.com", "gestao@example.com"]),
        ("nobody", ["equipe@example.com", "gestao@example.com"]),
        ("gone", ["equipe@example.com", "gestao@example.com"]),
        ("ana", ["ana@example.com"]),
    ],
)
def test_an_unknown_asker_or_none_means_the_recipients_of_the_routine(
    connection: psycopg.Connection, asked_by: str | None, expected: list[str]
) -> None:
    know(connection, "ana", "ana@example.com")
    know(connection, "gone", "gone@example.com", active=False)
    for address in ("equipe@example.com", "gestao@example.com"):
        recipient(connection, "account_data_refresh", address)
    recipient(connection, "*", "operacao@example.com")
    recipient(connection, "another", "another@example.com")
    run = open_run(connection, "2026-11-20", asked_by=asked_by)
    assert [who.email for who in recipients_of(connection, run)] == expected


def test_without_own_recipients_those_of_all_routines_get_it(connection: psycopg.Connection) -> None:
    recipient(connection, "*", "operacao@example.com")
    run = open_run(connection, "2026-11-20")
    assert [who.email for who in recipients_of(connection, run)] == ["operacao@example.com"]


def test_a_failure_says_so_in_the_subject_and_why(connection: psycopg.Connection, mailbox: Mailbox) -> None:
    recipient(connection, "*", "operacao@example.com")
    send(connection, closed_run(connection, "failed", message="integration erp, active = False: off"))
    mail = only_mail(mailbox)
    assert mail["Subject"].endswith("FALHOU")
    text = mail.get_body(("plain",))
    assert text is not None
    assert "integration erp, active = False: off" in text.get_content()


def test_a_run_refused_for_its_date_has_a_summary_too(
    connection: psycopg.Connection, mailbox: Mailbox
) -> None:
    recipient(connection, "*", "operacao@example.com")
    run = open_run(connection, None)
    record.close_run(connection, run.id, "failed", "business_date = 'x': is not a date")
    assert send(connection, current(connection, run)) == "sent"
    assert "não informada" in only_mail(mailbox)["Subject"]


def test_nobody_to_send_to_is_said(connection: psycopg.Connection, mailbox: Mailbox) -> None:
    run = closed_run(connection)
    assert send(connection, run) == "no_recipient"
    assert stored(connection, run)[2] == "nobody is set to receive it"
    recipient(connection, "*", "operacao@example.com")
    assert send(connection, current(connection, run)) == "sent"
    assert len(mailbox) == 1


def test_a_summary_is_sent_once(connection: psycopg.Connection, mailbox: Mailbox) -> None:
    recipient(connection, "*", "operacao@example.com")
    run = closed_run(connection)
    assert send(connection, run) == "sent"
    assert send(connection, current(connection, run)) == "sent"
    assert len(mailbox) == 1


def test_a_refused_recipient_is_named_and_may_be_tried_again(
    connection: psycopg.Connection, mailbox: Mailbox
) -> None:
    recipient(connection, "*", "ana@refused.example")
    run = closed_run(connection)
    with pytest.raises(NotSentError, match=r"ana@refused\.example: 550"):
        send(connection, run)
    assert stored(connection, run)[0] == "failed"
    connection.execute("update crm.routine_recipient set email = 'ana@example.com'")
    assert send(connection, current(connection, run)) == "sent"
    assert len(mailbox) == 1


def test_one_refused_recipient_of_two_is_named_and_the_other_gets_it(
    connection: psycopg.Connection, mailbox: Mailbox
) -> None:
    recipient(connection, "*", "ana@refused.example")
    recipient(connection, "*", "bia@example.com")
    run = closed_run(connection)
    with pytest.raises(MaybeSentError, match=r"refused for ana@refused\.example: 550"):
        send(connection, run)
    assert stored(connection, run)[0] == "sent"
    assert len(mailbox) == 1


@pytest.mark.parametrize("address", ["ana@", "ana@example.com\nBcc: x@example.com"])
def test_an_address_that_is_none_is_named(
    connection: psycopg.Connection, mailbox: Mailbox, address: str
) -> None:
    recipient(connection, "*", address)
    run = closed_run(connection)
    with pytest.raises(SettingError, match=r"(?s)recipients of the summary = .*ana@.*cannot be written to"):
        send(connection, run)
    assert stored(connection, run)[0] == "failed"
    assert len(mailbox) == 0


def test_a_name_brings_no_header_of_its_own(connection: psycopg.Connection, mailbox: Mailbox) -> None:
    connection.execute(
        "insert into crm.app_user (login, name, email) values ('ana', %s, 'ana@example.com')",
        ["Ana\nBcc: x@example.com"],
    )
    with pytest.raises(SettingError, match="cannot be written to"):
        send(connection, closed_run(connection, asked_by="ana"))
    assert len(mailbox) == 0


def test_no_mail_server_is_no_delivery(
    connection: psycopg.Connection, smtp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", smtp_connection(1))
    recipient(connection, "*", "operacao@example.com")
    run = closed_run(connection)
    with pytest.raises(NotSentError, match="mail server smtp_default"):
        send(connection, run)
    assert stored(connection, run)[0] == "failed"
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", smtp_connection(smtp_port))
    assert send(connection, current(connection, run)) == "sent"


class _Drops(socketserver.StreamRequestHandler):
    """A mail server that takes a whole message and hangs up instead of answering."""

    taken = 0

    def handle(self) -> None:
        self.wfile.write(b"220 drops\r\n")
        in_data = False
        for line in self.rfile:
            if in_data:
                if line == b".\r\n":
                    type(self).taken += 1
                    return
            elif line.upper().startswith(b"DATA"):
                in_data = True
                self.wfile.write(b"354 go on\r\n")
            else:
                self.wfile.write(b"250 ok\r\n")


@contextmanager
def dropping_server() -> Iterator[int]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Drops) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_a_connection_lost_after_the_message_is_unknown_and_never_sent_again(
    connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipient(connection, "*", "operacao@example.com")
    run = closed_run(connection)
    with dropping_server() as port:
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", smtp_connection(port))
        with pytest.raises(MaybeSentError):
            send(connection, run)
        assert send(connection, current(connection, run)) == "unknown"
    assert _Drops.taken == 1
    assert stored(connection, run)[0] == "unknown"


def test_a_task_killed_while_sending_leaves_it_unknown(
    connection: psycopg.Connection, mailbox: Mailbox
) -> None:
    recipient(connection, "*", "operacao@example.com")
    run = closed_run(connection)
    connection.execute("update crm.run set summary_status = 'sending' where id = %s", [run.id])
    with pytest.raises(MaybeSentError, match="interrupted"):
        send(connection, current(connection, run))
    assert stored(connection, run)[0] == "unknown"
    assert len(mailbox) == 0


def test_the_list_of_records_ends_with_how_many_more(
    connection: psycopg.Connection, mailbox: Mailbox
) -> None:
    recipient(connection, "*", "operacao@example.com")
    run = open_run(connection, "2026-11-20")
    record.record_step(connection, run.id, "refresh", Outcome(5000, 0, 0, 5000, 0))
    connection.execute(
        "insert into crm.run_item (run_id, record_kind, record_id, outcome, reason) "
        "select %s, 'account', n, 'skipped', 'not_linked' from generate_series(1, 5000) n",
        [run.id],
    )
    record.close_run(connection, run.id, "succeeded")
    send(connection, current(connection, run))
    text = only_mail(mailbox).get_body(("plain",))
    assert text is not None
    assert "5.000 × conta, ignorado" in text.get_content()
    assert "e mais 4.980" in text.get_content()


def test_every_reason_of_the_dispatcher_has_a_title() -> None:
    """What the statements of queue_dispatch write into crm.run_item, and what may become of an attempt."""
    words: set[str] = set()
    for path in (SQL_FOLDER / "queue_dispatch").glob("*.sql"):
        _, *writes = path.read_text(encoding="utf-8").split("insert into crm.run_item")
        words.update(word for text in writes for word in re.findall(r"'([a-z_]+)'", text))
    assert {"message", "gateway"} <= words & set(RECORD_TITLES)
    reasons = words - set(RECORD_TITLES) - set(OUTCOME_TITLES) - set(get_args(operations.Status))
    # a message goes back to its place after these, and after the first it is sent: no record is named
    unnamed = {Attempt.ACCEPTED, Attempt.TRANSIENT, Attempt.CONFIGURATION, Attempt.NOT_TRIED}
    reasons |= {"expired", *Attempt}
    assert reasons - unnamed <= set(REASON_TITLES)
    assert "queue_dispatch" in ROUTINE_TITLES


def test_numbers_among_the_details_are_written_as_people_write_them(
    connection: psycopg.Connection, mailbox: Mailbox
) -> None:
    recipient(connection, "*", "operacao@example.com")
    run = open_run(connection, "2026-11-20")
    record.record_step(
        connection, run.id, "archive", Outcome(0, 0, 0, 0, 0, {"attempts": 12345, "note": "2026"})
    )
    record.close_run(connection, run.id, "succeeded")
    send(connection, current(connection, run))
    mail = only_mail(mailbox)
    for kind in ("plain", "html"):
        part = mail.get_body((kind,))
        assert part is not None
        assert "Tentativas arquivadas: 12.345" in part.get_content()
        assert "Observação: 2026" in part.get_content()
