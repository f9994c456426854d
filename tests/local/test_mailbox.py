"""The mailbox over real sockets: a real SMTP client writes, a real HTTP client reads."""

from __future__ import annotations

import asyncio
import smtplib
import tempfile
import threading
from collections.abc import Iterator
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from rotina.local.gateway_simulator import serving
from rotina.local.mailbox import Mailbox, StoredMessage, create_app, create_smtp

PNG = b"\x89PNG\r\n\x1a\n\x00binary\xff"


@pytest.fixture
def mailbox(tmp_path: Path) -> Mailbox:
    return Mailbox(tmp_path / "mailbox")


@pytest.fixture
def smtp(mailbox: Mailbox) -> Iterator[smtplib.SMTP]:
    """A client connected to the SMTP server of `mailbox`."""
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(loop.create_server(lambda: create_smtp(mailbox), "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        with smtplib.SMTP(*server.sockets[0].getsockname(), timeout=10) as client:
            yield client
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def url(mailbox: Mailbox) -> Iterator[str]:
    with serving(create_app(mailbox)) as url:
        yield url


def get(url: str, **arguments: Any) -> requests.Response:
    return requests.get(url, timeout=10, **arguments)


def letter(**headers: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Rotina <rotina@example.com>"
    message["To"] = "Ana Gonçalves <ana@example.com>"
    message["Subject"] = "Resumo da execução"
    for name, value in headers.items():
        del message[name]
        message[name] = value
    message.set_content("Olá, Ana: 3 contas alteradas.\n")
    return message


def test_a_message_with_text_html_and_attachment(smtp: smtplib.SMTP, url: str) -> None:
    message = letter()
    message.add_alternative("<p>Olá, <b>Ana</b>: 3 contas alteradas.</p>", subtype="html")
    message.add_attachment(PNG, maintype="image", subtype="png", filename="gráfico.png")
    sent = message.as_bytes(policy=SMTP)  # before it is sent: this makes up the boundary
    smtp.send_message(message)

    (listed,) = get(f"{url}/api/messages").json()
    assert listed["subject"] == "Resumo da execução"
    assert listed["to"] == "Ana Gonçalves <ana@example.com>"
    assert (listed["mail_from"], listed["recipients"]) == ("rotina@example.com", ["ana@example.com"])

    full = get(f"{url}/api/messages/{listed['id']}").json()
    assert full["text"].strip() == "Olá, Ana: 3 contas alteradas."
    assert "<b>Ana</b>" in full["html"]
    assert full["attachments"] == [{"filename": "gráfico.png", "content_type": "image/png", "size": len(PNG)}]

    page = get(f"{url}/messages/{listed['id']}")
    assert page.status_code == 200
    assert "Resumo da execução" in page.text
    assert "gráfico.png" in page.text
    attachment = get(f"{url}/messages/{listed['id']}/attachments/3")
    assert attachment.status_code == 404
    attachment = get(f"{url}/messages/{listed['id']}/attachments/1")
    assert attachment.content == PNG
    assert attachment.headers["Content-Type"] == "application/octet-stream"
    raw = get(f"{url}/messages/{listed['id']}/raw").content
    assert raw.endswith(sent)
    assert raw.removesuffix(sent).splitlines() == [
        b"X-Envelope-From: rotina@example.com",
        b"X-Envelope-To: ana@example.com",
    ]


def test_the_list_is_newest_first_and_empty_at_first(smtp: smtplib.SMTP, url: str) -> None:
    assert "Nenhuma mensagem ainda" in get(url).text
    for subject in ("primeira", "segunda", "terceira"):
        smtp.send_message(letter(Subject=subject))
    assert [item["subject"] for item in get(f"{url}/api/messages").json()] == [
        "terceira",
        "segunda",
        "primeira",
    ]
    page = get(url).text
    assert page.index("terceira") < page.index("segunda") < page.index("primeira")


def test_hidden_recipients_are_the_ones_of_the_envelope(smtp: smtplib.SMTP, url: str) -> None:
    smtp.sendmail(
        "rotina@example.com", ["a@example.com", "b@example.com"], b"X-Envelope-To: forged\r\n\r\n.dot\r\n"
    )
    (listed,) = get(f"{url}/api/messages").json()
    assert listed["recipients"] == ["a@example.com", "b@example.com"]
    assert get(f"{url}/api/messages/{listed['id']}").json()["text"] == ".dot\n"


def test_a_hostile_message_is_shown_but_never_run(smtp: smtplib.SMTP, url: str) -> None:
    hostile = "<script>alert(1)</script>"
    message = letter(Subject=f"{hostile}", From=f'"{hostile}" <x@example.com>')
    message.add_alternative(f"<html><body onload=alert(1)>{hostile}</body></html>", subtype="html")
    message.add_attachment(hostile.encode(), maintype="text", subtype="html", filename='"><script>.html')
    smtp.send_message(message)

    (listed,) = get(f"{url}/api/messages").json()
    for address in (url, f"{url}/messages/{listed['id']}"):
        page = get(address)
        assert "<script>" not in page.text
        assert "&lt;script&gt;" in page.text
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        assert "script-src" not in page.headers["Content-Security-Policy"]
    frame = get(f"{url}/messages/{listed['id']}/html")
    policy = frame.headers["Content-Security-Policy"]
    assert policy.startswith("sandbox; default-src 'none'")
    assert "allow-" not in policy
    assert "<iframe" in page.text
    assert "allow-" not in page.text
    attachment = get(f"{url}/messages/{listed['id']}/attachments/1")
    assert attachment.headers["Content-Disposition"].startswith("attachment")
    assert "<" not in attachment.headers["Content-Disposition"]


@pytest.mark.parametrize(("domain", "code"), [("refused.example", 550), ("Later.Example", 451)])
def test_refused_domains(smtp: smtplib.SMTP, mailbox: Mailbox, domain: str, code: int) -> None:
    with pytest.raises(smtplib.SMTPRecipientsRefused) as caught:
        smtp.send_message(letter(To=f"ana@{domain}"))
    assert caught.value.recipients[f"ana@{domain}"][0] == code
    assert len(mailbox) == 0

    refused = smtp.send_message(letter(), to_addrs=[f"ana@{domain}", "bia@example.com"])
    assert refused[f"ana@{domain}"][0] == code
    assert [message.recipients for message in mailbox.messages()] == [["bia@example.com"]]


def test_delete_empties_the_mailbox(smtp: smtplib.SMTP, url: str) -> None:
    smtp.send_message(letter())
    smtp.send_message(letter())
    assert requests.delete(f"{url}/api/messages", timeout=10).json() == {"deleted": 2}
    assert get(f"{url}/api/messages").json() == []


@pytest.mark.parametrize(
    "path", ["/messages/x", "/api/messages/..%2f..%2fsecrets", "/messages/x/raw", "/nothing"]
)
def test_unknown_messages_are_404(url: str, path: str) -> None:
    assert get(url + path).status_code == 404


def test_another_host_name_is_refused(url: str) -> None:
    assert get(url, headers={"Host": "attacker.example"}).status_code == 400


def test_messages_survive_a_restart(smtp: smtplib.SMTP, mailbox: Mailbox) -> None:
    smtp.send_message(letter())
    assert [message.header("Subject") for message in Mailbox(mailbox.folder).messages()] == [
        "Resumo da execução"
    ]


HEADERS = st.sampled_from(
    [
        b"Content-Type: text/html; charset=",
        b"Content-Type: multipart/mixed; boundary=",
        b"Subject: =?",
        b"Content-",
    ]
)


@given(st.lists(st.tuples(HEADERS, st.binary(max_size=40)), max_size=5), st.binary(max_size=200))
def test_any_bytes_can_be_shown(headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    content = b"".join(name + value + b"\r\n" for name, value in headers) + b"\r\n" + body
    with tempfile.TemporaryDirectory() as folder:
        mailbox = Mailbox(Path(folder))
        message: StoredMessage = mailbox.get(mailbox.add("x@example.com", ["y@example.com"], content))
        assert message.recipients == ["y@example.com"]
        assert isinstance(message.summary(), dict)
        assert [message.text, message.html, message.headers, message.attachments]
