"""Fixtures of the run tests: the mailbox as a real SMTP server, and Airflow connections that point at it."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from aiosmtpd.controller import Controller

from rotina.local.mailbox import Mailbox, MailboxHandler


@pytest.fixture
def mailbox(tmp_path: Path) -> Mailbox:
    """An empty mailbox folder."""
    return Mailbox(tmp_path / "mailbox")


@pytest.fixture
def smtp_port(mailbox: Mailbox) -> Iterator[int]:
    """Port of a real SMTP server that delivers into `mailbox`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    controller = Controller(MailboxHandler(mailbox), hostname="127.0.0.1", port=port)
    controller.start()
    yield port
    controller.stop()


def smtp_connection(port: int) -> str:
    """An Airflow connection to a mail server on this machine, as an environment variable has it."""
    extra = {"disable_ssl": True, "disable_tls": True, "from_email": "rotina@example.com", "timeout": 5}
    return json.dumps({"conn_type": "smtp", "host": "127.0.0.1", "port": port, "extra": extra})


@pytest.fixture
def airflow_connections(task_uri: str, smtp_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """`erp_db` is the database of this test, `smtp_default` its mailbox."""
    parts = urlsplit(task_uri)
    erp = {
        "conn_type": "postgres",
        "host": parse_qs(parts.query)["host"][0],
        "login": parts.username,
        "schema": parts.path.removeprefix("/"),
    }
    monkeypatch.setenv("AIRFLOW_CONN_ERP_DB", json.dumps(erp))
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", smtp_connection(smtp_port))
