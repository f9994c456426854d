"""The smtp adapter against servers that follow a script, line by line, and against the mailbox."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any, ClassVar

import aiosmtplib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotina.errors import SettingError
from rotina.local.mailbox import Mailbox, create_smtp
from rotina.messaging.adapters import Outgoing, SmtpEndpoint
from rotina.messaging.adapters.opening import open_adapter
from rotina.messaging.outcome import Outcome, Result
from tests.messaging.adapter_parts import closed_port, gateway, opened, send, serving_tcp, write_certificate

SENDER = "Rotina Avisos <rotina@example.com>"
PASSWORD = "pass-5f0c9a-secret"
CUT = "cut"  # the server hangs up
SILENCE = "silence"  # the server says nothing any more


def endpoint(port: int, **changes: Any) -> SmtpEndpoint:
    usual: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": port,
        "login": None,
        "password": None,
        "use_tls": False,
        "start_tls": False,
        "sender": SENDER,
        "connect_timeout": 5.0,
    }
    return SmtpEndpoint(**usual | changes)


def email(**changes: Any) -> Outgoing:
    payload = {"subject": "Seu boleto vence amanhã", "text": "Olá, Ana!\n", "html": "<p>Olá, Ana!</p>\n"}
    payload |= changes.pop("payload", {})
    arguments: dict[str, Any] = {
        "id": 7,
        "number": 1,
        "recipient": "ana@example.com",
        "payload": payload,
        "dedupe_key": "birthday:42/2026",
    }
    return Outgoing(**arguments | changes)


@dataclass
class Script:
    """A mail server that answers as it is told.

    `answers` has what it says to a command: a text, CUT or SILENCE, or a list of them, one for each time (the
    last for all further times). `greeting` and `content` are said at the start and after a whole message;
    `half` after the first bytes of one.
    """

    answers: dict[str, Any] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    connections: int = 0
    open: int = 0
    """Clients that are connected now."""
    contents: list[bytes] = field(default_factory=list)
    seen: asyncio.Event = field(default_factory=asyncio.Event)
    """Set at each command."""
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client has gone."""

    USUAL: ClassVar = {
        "greeting": "220 ready",
        "EHLO": "250-mail\r\n250-8BITMIME\r\n250 AUTH PLAIN",
        "AUTH": "235 2.7.0 welcome",
        "MAIL": "250 ok",
        "RCPT": "250 ok",
        "DATA": "354 go on",
        "content": "250 2.0.0 kept",
        "RSET": "250 ok",
        "NOOP": "250 ok",
        "QUIT": "221 bye",
    }

    def answer(self, step: str) -> str:
        answer = self.answers.get(step, self.USUAL.get(step, "502 what?"))
        if isinstance(answer, list):
            return str(answer.pop(0) if len(answer) > 1 else answer[0])
        return str(answer)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            await self.talk(reader, writer)
        finally:
            self.open -= 1
            self.left.set()

    async def all_left(self) -> None:
        """Wait until no client is connected any more."""
        async with asyncio.timeout(5):
            while self.open:
                self.left.clear()
                await self.left.wait()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        step = "greeting"
        while True:
            answer = self.answer(step)
            if answer == CUT:
                return
            if answer == SILENCE:
                await reader.read()
                return
            writer.write(f"{answer}\r\n".encode("utf-8", "surrogateescape"))
            if step == "QUIT" or answer.startswith("421"):
                return
            if answer.startswith("354"):
                if "half" in self.answers:
                    await reader.readexactly(10)
                    step = "half"
                    continue
                self.contents.append(await reader.readuntil(b"\r\n.\r\n"))
                step = "content"
                continue
            line = (await reader.readline()).decode()
            if not line:
                return
            self.commands.append(line.rstrip("\r\n"))
            step = line.split()[0].upper()
            self.seen.set()

    def count(self, verb: str) -> int:
        """How many commands of that name came."""
        return sum(command.startswith(verb) for command in self.commands)


def send_by(script: Script, message: Outgoing | None = None, **changes: Any) -> Result:
    """What becomes of a message that a scripted server gets."""
    settings = {name: changes.pop(name) for name in ("call_timeout_seconds", "settings") if name in changes}

    async def run() -> Result:
        async with serving_tcp(script.handle) as port:
            async with opened("smtp", endpoint(port, **changes), **settings) as adapter:
                result = await adapter.send(message or email())
            await script.all_left()
        return result

    return asyncio.run(run())


# -- the table of outcomes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "outcome", "code"),
    [
        ({}, Outcome.ACCEPTED, 250),
        ({"content": "251 2.0.0 forwarded"}, Outcome.ACCEPTED, 251),
        # not sent, transient: no connection, or one that ended before the message was handed over
        ({"greeting": CUT}, Outcome.TRANSIENT, None),
        ({"greeting": SILENCE}, Outcome.TRANSIENT, None),
        ({"greeting": "421 too busy"}, Outcome.TRANSIENT, 421),
        ({"greeting": "554 no service"}, Outcome.TRANSIENT, 554),
        ({"greeting": "nonsense"}, Outcome.TRANSIENT, None),
        ({"EHLO": "550 no"}, Outcome.TRANSIENT, 550),
        ({"EHLO": CUT}, Outcome.TRANSIENT, None),
        ({"EHLO": SILENCE}, Outcome.TRANSIENT, None),
        ({"MAIL": "421 4.3.2 closing"}, Outcome.TRANSIENT, 421),
        ({"MAIL": "452 4.3.1 disk full"}, Outcome.TRANSIENT, 452),
        ({"MAIL": CUT}, Outcome.TRANSIENT, None),
        ({"MAIL": SILENCE}, Outcome.TRANSIENT, None),
        ({"MAIL": "nonsense"}, Outcome.TRANSIENT, None),
        ({"RCPT": "421 4.7.0 too many"}, Outcome.TRANSIENT, 421),
        ({"RCPT": CUT}, Outcome.TRANSIENT, None),
        ({"DATA": CUT}, Outcome.TRANSIENT, None),
        ({"DATA": SILENCE}, Outcome.TRANSIENT, None),
        ({"content": "421 4.3.2 closing"}, Outcome.TRANSIENT, 421),
        # not sent, this recipient: later
        ({"RCPT": "450 4.2.1 greylisted"}, Outcome.DEFERRED, 450),
        ({"RCPT": "452 4.2.2 mailbox full"}, Outcome.DEFERRED, 452),
        ({"DATA": "451 4.3.0 later"}, Outcome.DEFERRED, 451),
        ({"content": "451 4.3.0 later"}, Outcome.DEFERRED, 451),
        # maybe sent: the end of the message may have left
        ({"half": CUT}, Outcome.MAYBE_SENT, None),
        ({"content": CUT}, Outcome.MAYBE_SENT, None),
        ({"content": SILENCE}, Outcome.MAYBE_SENT, None),
        ({"content": "nonsense"}, Outcome.MAYBE_SENT, None),
        ({"content": "354 again?"}, Outcome.MAYBE_SENT, None),
        # recipient, permanent
        ({"RCPT": "550 no such user here"}, Outcome.REJECTED, 550),
        ({"RCPT": "550 5.1.0 unknown"}, Outcome.REJECTED, 550),
        ({"RCPT": "550 5.1.2 domain not found"}, Outcome.REJECTED, 550),
        ({"RCPT": "553 5.1.8 bad sender"}, Outcome.REJECTED, 553),
        ({"RCPT": "550 5.1.11 made up"}, Outcome.REJECTED, 550),
        ({"RCPT": "550 5.2.1 disabled"}, Outcome.REJECTED, 550),
        ({"RCPT": "552 5.2.2 mailbox full"}, Outcome.REJECTED, 552),
        ({"RCPT": "554 5.7.1 not here, not even as 5.1.1"}, Outcome.REJECTED, 554),
        ({"DATA": "554 5.5.1 no valid recipients"}, Outcome.REJECTED, 554),
        ({"content": "552 5.3.4 too big"}, Outcome.REJECTED, 552),
        ({"content": "550 5.1.1 said of whom?"}, Outcome.REJECTED, 550),
        # no such address
        ({"RCPT": "550 5.1.1 no such mailbox"}, Outcome.NO_SUCH_ADDRESS, 550),
        (
            {"RCPT": "550-5.1.1 The email account that you tried to reach\r\n550 5.1.1 does not exist."},
            Outcome.NO_SUCH_ADDRESS,
            550,
        ),
        ({"RCPT": "553 5.1.3 no address"}, Outcome.NO_SUCH_ADDRESS, 553),
        ({"RCPT": "551 5.1.6 moved"}, Outcome.NO_SUCH_ADDRESS, 551),
        ({"RCPT": "550 5.1.10 RESOLVER.ADR.RecipientNotFound"}, Outcome.NO_SUCH_ADDRESS, 550),
        ({"RCPT": "556 5.1.10 takes no mail"}, Outcome.NO_SUCH_ADDRESS, 556),
        ({"RCPT": "450 5.1.1 a code that contradicts itself"}, Outcome.DEFERRED, 450),
        # configuration
        ({"MAIL": "550 5.7.1 sender refused"}, Outcome.CONFIGURATION, 550),
        ({"MAIL": "530 5.7.0 login first"}, Outcome.CONFIGURATION, 530),
        ({"RCPT": "530 5.7.0 login first"}, Outcome.CONFIGURATION, 530),
    ],
)
def test_every_answer_has_its_outcome(answers: Any, outcome: Outcome, code: int | None) -> None:
    silent = SILENCE in answers.values()
    script = Script(answers)
    result = send_by(script, call_timeout_seconds=0.3 if silent else 30)
    assert (result.outcome, result.code) == (outcome, code)
    assert (result.error is None) == (outcome is Outcome.ACCEPTED)
    assert script.connections == 1
    assert script.count("MAIL") <= 1  # nothing is tried a second time


_STARTTLS = "250-mail\r\n250 STARTTLS"


@pytest.mark.parametrize(
    ("answers", "changes", "outcome", "code"),
    [
        ({}, {}, Outcome.ACCEPTED, 250),
        ({"AUTH": "535 5.7.8 wrong"}, {}, Outcome.CONFIGURATION, 535),
        ({"AUTH": "454 4.7.0 later"}, {}, Outcome.TRANSIENT, 454),
        ({"AUTH": CUT}, {}, Outcome.TRANSIENT, None),
        ({"EHLO": "250 mail"}, {}, Outcome.CONFIGURATION, None),  # offers no login
        ({}, {"start_tls": True}, Outcome.CONFIGURATION, None),  # offers no STARTTLS
        ({"EHLO": _STARTTLS, "STARTTLS": "454 later"}, {"start_tls": True}, Outcome.TRANSIENT, 454),
        ({"EHLO": _STARTTLS, "STARTTLS": "220 go"}, {"start_tls": True}, Outcome.TRANSIENT, None),
        ({}, {"use_tls": True}, Outcome.TRANSIENT, None),
    ],
)
def test_logging_in(answers: Any, changes: Any, outcome: Outcome, code: int | None) -> None:
    script = Script(answers)
    result = send_by(script, login="rotina", password=PASSWORD, **changes)
    assert (result.outcome, result.code) == (outcome, code)
    assert script.count("MAIL") == (outcome is Outcome.ACCEPTED)
    assert PASSWORD not in str(result)


def test_a_refused_connection_is_not_sent() -> None:
    result = send("smtp", endpoint(closed_port()), email())
    assert (result.outcome, result.code) == (Outcome.TRANSIENT, None)


def test_a_certificate_is_verified_unless_the_connection_says_otherwise(tmp_path: Path) -> None:
    write_certificate(tmp_path / "mail.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "mail.pem")

    async def run(**changes: Any) -> Outcome:
        async with (
            serving_tcp(Script().handle, ssl=context) as port,
            opened("smtp", endpoint(port, use_tls=True, **changes)) as adapter,
        ):
            return (await adapter.send(email())).outcome

    assert asyncio.run(run()) is Outcome.TRANSIENT
    assert asyncio.run(run(verify_certificate=False)) is Outcome.ACCEPTED


def test_an_error_says_the_code_and_not_the_address() -> None:
    result = send_by(Script({"RCPT": "550 5.1.1 <ANA@example.com>: user ana@example.com unknown"}))
    assert result.error == "550 5.1.1 <***>: user *** unknown"


def test_an_error_in_latin_1_can_be_stored() -> None:
    result = send_by(Script({"RCPT": "550 Usu\udce1rio desconhecido"}))  # the byte E1, as in Latin-1
    assert (result.outcome, result.error) == (Outcome.REJECTED, "550 Usu?rio desconhecido")
    result = send_by(Script({"AUTH": "535 Usu\udce1rio"}), login="rotina", password=PASSWORD)
    assert (result.outcome, result.error) == (Outcome.CONFIGURATION, "not connected: Usu?rio")


def test_an_error_is_short() -> None:
    result = send_by(Script({"RCPT": "550 " + "não " * 100}))
    assert result.error is not None
    assert len(result.error) == 300


# -- connections ---------------------------------------------------------------------------------------------


@asynccontextmanager
async def talking(script: Script, **changes: Any) -> AsyncIterator[Any]:
    async with serving_tcp(script.handle) as port:
        async with opened("smtp", endpoint(port), **changes) as adapter:
            yield adapter
        await script.all_left()


def send_several(script: Script, messages: list[Outgoing], **changes: Any) -> list[Outcome]:
    """What becomes of messages that are sent one after the other by one adapter."""

    async def run() -> list[Outcome]:
        async with talking(script, **changes) as adapter:
            return [(await adapter.send(message)).outcome for message in messages]

    return asyncio.run(run())


def test_a_connection_is_used_again_and_replaced_after_its_share() -> None:
    script = Script()
    settings = {"messages_per_connection": 2}
    assert send_several(script, [email()] * 5, settings=settings) == [Outcome.ACCEPTED] * 5
    assert script.connections == 3
    assert [command.split()[0] for command in script.commands] == [
        *("EHLO", "MAIL", "RCPT", "DATA", "MAIL", "RCPT", "DATA", "QUIT") * 2,
        *("EHLO", "MAIL", "RCPT", "DATA", "QUIT"),
    ]


def test_one_bad_recipient_stops_nobody() -> None:
    script = Script({"RCPT": ["250 ok", "550 5.1.1 unknown", "250 ok"]})
    assert send_several(script, [email()] * 3) == [
        Outcome.ACCEPTED,
        Outcome.NO_SUCH_ADDRESS,
        Outcome.ACCEPTED,
    ]
    assert script.connections == 1
    assert script.count("RSET") == 1


@pytest.mark.parametrize(
    ("answers", "outcomes"),
    [
        # the server closed the idle connection, or does so now: the message goes over a new one
        ({"MAIL": ["250 ok", CUT, "250 ok"]}, [Outcome.ACCEPTED] * 2),
        ({"MAIL": ["250 ok", "421 4.4.2 idle", "250 ok"]}, [Outcome.ACCEPTED] * 2),
        ({"DATA": ["354 go on", CUT, "354 go on"]}, [Outcome.ACCEPTED] * 2),
        ({"RCPT": ["550 5.7.1 no", "250 ok"], "RSET": "502 what?"}, [Outcome.REJECTED, Outcome.ACCEPTED]),
        ({"RCPT": ["550 5.7.1 no", "250 ok"], "RSET": CUT}, [Outcome.REJECTED, Outcome.ACCEPTED]),
        # but a message that was handed over is never sent again
        ({"content": ["250 ok", CUT, "250 ok"]}, [Outcome.ACCEPTED, Outcome.MAYBE_SENT]),
        ({"content": ["250 ok", "421 4.3.2 closing", "250 ok"]}, [Outcome.ACCEPTED, Outcome.TRANSIENT]),
    ],
)
def test_a_connection_that_was_kept_too_long(answers: Any, outcomes: list[Outcome]) -> None:
    script = Script(answers)
    assert send_several(script, [email()] * 2) == outcomes
    handed_over = 2 if Outcome.REJECTED not in outcomes else 1
    assert len(script.contents) == handed_over
    assert script.connections == (1 if outcomes[1] in (Outcome.MAYBE_SENT, Outcome.TRANSIENT) else 2)


def test_at_most_as_many_connections_as_set() -> None:
    async def run(**changes: Any) -> int:
        script = Script()
        async with talking(script, **changes) as adapter:
            results = await asyncio.gather(*(adapter.send(email(id=number)) for number in range(12)))
        assert {result.outcome for result in results} == {Outcome.ACCEPTED}
        assert len(script.contents) == 12
        return script.connections

    assert asyncio.run(run()) == 4
    assert asyncio.run(run(settings={"connections": 2})) == 2
    assert asyncio.run(run(max_in_flight=3)) == 3


def test_it_has_as_many_places_as_connections() -> None:
    assert open_adapter(gateway("smtp"), endpoint(25)).places == 4
    assert open_adapter(gateway("smtp", max_in_flight=3), endpoint(25)).places == 3


def test_waiting_for_a_connection_takes_none_of_the_time_of_a_call() -> None:
    async def run() -> Result:
        async with talking(Script(), settings={"connections": 1}, call_timeout_seconds=1) as adapter:
            async with adapter._room:
                call = asyncio.create_task(adapter.send(email()))
                await asyncio.wait({call}, timeout=1.2)
            return await call  # type: ignore[no-any-return]

    assert asyncio.run(run()).outcome is Outcome.ACCEPTED


def test_a_cancelled_call_ends_as_cancelled_and_its_connection_with_it() -> None:
    async def run() -> tuple[Outcome, int]:
        script = Script({"RCPT": [SILENCE, "250 ok"]})
        async with talking(script, settings={"connections": 1}) as adapter:
            call = asyncio.create_task(adapter.send(email()))
            while not script.count("RCPT"):
                script.seen.clear()
                await script.seen.wait()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            return (await adapter.send(email())).outcome, script.connections

    assert asyncio.run(run()) == (Outcome.ACCEPTED, 2)


def test_a_cancellation_that_was_swallowed_while_connecting_still_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connect = aiosmtplib.SMTP.connect

    async def swallow(client: aiosmtplib.SMTP) -> Any:
        connected = await connect(client)
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0)
        return connected

    monkeypatch.setattr(aiosmtplib.SMTP, "connect", swallow)
    script = Script()

    async def run() -> None:
        async with talking(script) as adapter:
            await asyncio.create_task(adapter.send(email()))

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(run())
    assert script.count("MAIL") == 0


# -- messages ------------------------------------------------------------------------------------------------


def raw_content_of(message: Outgoing, **answers: Any) -> bytes:
    """A message as a mail server receives it, with its dots."""
    script = Script(answers)
    assert send_by(script, message).outcome is Outcome.ACCEPTED
    (content,) = script.contents
    return content


def content_of(message: Outgoing, **answers: Any) -> EmailMessage:
    """A message as a mail server receives it, read."""
    content = raw_content_of(message, **answers).removesuffix(b".\r\n").replace(b"\r\n..", b"\r\n.")
    assert b"\n" not in content.replace(b"\r\n", b"")
    received = message_from_bytes(content, policy=SMTP)
    assert isinstance(received, EmailMessage)
    assert received.defects == []
    return received


def text_of(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


@pytest.mark.parametrize("extensions", ["250 mail", "250-mail\r\n250 8BITMIME"])
def test_a_message_as_it_arrives(extensions: str) -> None:
    url = "https://example.com/sair?t=a1b2c3d4"
    text = "Olá, Ana!\n" + "linha muito longa " * 100 + "\n"
    received = content_of(email(payload={"text": text, "unsubscribe_url": url}), EHLO=extensions)
    assert received["From"] == SENDER
    assert received["To"] == "ana@example.com"
    assert received["Subject"] == "Seu boleto vence amanhã"
    assert received["Auto-Submitted"] == "auto-generated"
    assert received["Date"].datetime.tzinfo is not None
    assert received.get_all("List-Unsubscribe") == [f"<{url}>"]
    assert received.get_all("List-Unsubscribe-Post") == ["List-Unsubscribe=One-Click"]
    assert text_of(received, "plain") == text
    assert text_of(received, "html") == "<p>Olá, Ana!</p>\n"


CSV = {
    "name": "contas sem movimento ação.csv",
    "type": "text/csv",
    "text": "\ufeffConta;Nome\r\n.1;Ação\r\n\n.\r\n",
}


@pytest.mark.parametrize("extensions", ["250 mail", "250-mail\r\n250 8BITMIME"])
def test_files_arrive_to_the_byte_beside_the_text(extensions: str) -> None:
    second = {"name": "b.txt", "type": "text/plain", "text": ""}
    received = content_of(email(payload={"attachments": [CSV, second]}), EHLO=extensions)
    assert received.get_content_type() == "multipart/mixed"
    assert text_of(received, "plain") == "Olá, Ana!\n"
    assert text_of(received, "html") == "<p>Olá, Ana!</p>\n"
    files = list(received.iter_attachments())
    assert [(file.get_filename(), file.get_content_type()) for file in files] == [
        (CSV["name"], "text/csv"),
        ("b.txt", "text/plain"),
    ]
    assert files[0].get_content_charset() == "utf-8"
    assert files[0].get_payload(decode=True) == CSV["text"].encode()


def test_a_message_without_files_is_as_before() -> None:
    assert content_of(email(payload={"attachments": []})).get_content_type() == "multipart/alternative"


def test_a_dot_at_the_start_of_a_line_does_not_end_the_message() -> None:
    message = email(payload={"text": "a\n.\n..b\n", "html": None})
    assert raw_content_of(message).endswith(b"\r\na\r\n..\r\n...b\r\n.\r\n")
    assert text_of(content_of(message), "plain") == "a\n.\n..b\n"


def test_a_long_unsubscribe_url_is_neither_folded_nor_encoded() -> None:
    url = "https://example.com/sair?t=" + "a1b2c3d4" * 30
    content = raw_content_of(email(payload={"unsubscribe_url": url}))
    assert f"\r\nList-Unsubscribe: <{url}>\r\n".encode() in content


def test_without_tls_the_unsubscribe_url_is_no_one_click() -> None:
    received = content_of(email(payload={"unsubscribe_url": "http://example.com/sair"}))
    assert received.get_all("List-Unsubscribe") == ["<http://example.com/sair>"]
    assert received.get_all("List-Unsubscribe-Post") is None


def test_a_message_of_one_part_without_an_unsubscribe_url() -> None:
    for name, kind in (("text", "plain"), ("html", "html")):
        other = {"text": "html", "html": "text"}[name]
        received = content_of(email(payload={other: None, name: "Olá"}))
        assert received.get_content_type() == f"text/{kind}"
        assert text_of(received, kind).strip() == "Olá"
        assert "List-Unsubscribe" not in received


def test_the_message_id_is_the_same_in_every_attempt() -> None:
    first, again, other = (
        content_of(email(number=number, dedupe_key=key))["Message-ID"]
        for number, key in ((1, "a"), (2, "a"), (1, "b"))
    )
    assert first == again
    assert first.endswith("@example.com>")
    assert first != other


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"payload": {"subject": "Oi\r\nBcc: eve@example.com"}}, "subject"),
        ({"payload": {"subject": "Oi\nBcc: eve@example.com"}}, "subject"),
        ({"payload": {"subject": None}}, "subject"),
        ({"payload": {"text": None, "html": None}}, "text"),
        ({"payload": {"unsubscribe_url": "https://a>\r\nBcc: eve@example.com"}}, "unsubscribe_url"),
        ({"payload": {"unsubscribe_url": "javascript:x"}}, "unsubscribe_url"),
        ({"payload": {"attachments": CSV}}, "attachments"),
        ({"payload": {"attachments": ["a.csv"]}}, "attachments"),
        ({"payload": {"attachments": [{**CSV, "name": None}]}}, "name of an attachment"),
        (
            {"payload": {"attachments": [{**CSV, "name": "a\r\nBcc: eve@example.com"}]}},
            "name of an attachment",
        ),
        ({"payload": {"attachments": [{**CSV, "type": "text"}]}}, "type of an attachment"),
        ({"payload": {"attachments": [{**CSV, "type": "text/csv\r\nX: y"}]}}, "type of an attachment"),
        ({"payload": {"attachments": [{**CSV, "type": "application/pdf"}]}}, "type of an attachment"),
        ({"payload": {"attachments": [{**CSV, "text": None}]}}, "no text"),
        ({"payload": {"attachments": [{**CSV, "text": "\ud800"}]}}, "cannot be written"),
        ({"recipient": "ana@example.com>\r\nRCPT TO:<eve@example.com"}, "address"),
        ({"recipient": "ana@example.com, eve@example.com"}, "address"),
        ({"recipient": "ana@example.com,eve@example.com"}, "address"),
        ({"recipient": "Ana <ana@example.com>"}, "address"),
        ({"recipient": "ana"}, "address"),
        ({"recipient": "@example.com"}, "address"),
        ({"recipient": ""}, "address"),
        ({"recipient": "ana@" + "a" * 64 + ".com"}, "domain"),
        ({"recipient": "ana@example..com"}, "domain"),
    ],
)
def test_what_cannot_be_sent_makes_no_call(changes: Any, problem: str) -> None:
    script = Script()
    result = send_by(script, email(**changes))
    assert (result.outcome, result.code) == (Outcome.REJECTED, None)
    assert problem in str(result.error)
    assert "ana" not in str(result.error)
    assert script.connections == 0


def test_a_domain_with_accents_goes_as_punycode() -> None:
    script = Script()
    assert send_by(script, email(recipient="ana@pão.example")).outcome is Outcome.ACCEPTED
    assert "RCPT TO:<ana@xn--po-sia.example>" in script.commands


def test_an_address_with_accents_needs_smtputf8() -> None:
    without = Script()
    messages = [email(recipient="joão@example.com"), email()]
    assert send_several(without, messages) == [Outcome.REJECTED, Outcome.ACCEPTED]
    assert without.count("MAIL") == 1
    script = Script({"EHLO": "250-mail\r\n250-8BITMIME\r\n250 SMTPUTF8"})
    assert send_by(script, email(recipient="joão@example.com")).outcome is Outcome.ACCEPTED
    assert "MAIL FROM:<rotina@example.com> BODY=8BITMIME SMTPUTF8" in script.commands
    assert "RCPT TO:<joão@example.com>" in script.commands
    assert "To: joão@example.com\r\n".encode() in script.contents[0]


@pytest.mark.parametrize("sender", ["", "rotina", "a@b.c\r\nBcc: eve@example.com", "joão@example.com"])
def test_a_sender_that_is_no_address_is_a_wrong_setting(sender: str) -> None:
    with pytest.raises(SettingError, match="connection message_gateway, extra from_email"):
        open_adapter(gateway("smtp"), endpoint(25, sender=sender))


@given(st.text(max_size=200), st.text(max_size=200), st.text(max_size=80))
def test_no_text_breaks_the_adapter_or_adds_a_header(subject: str, text: str, recipient: str) -> None:
    adapter = open_adapter(gateway("smtp"), endpoint(closed_port()))
    outgoing = email(payload={"subject": subject, "text": text}, recipient=f"{recipient}@example.com")
    result = asyncio.run(adapter.send(outgoing))
    assert result.outcome in (Outcome.REJECTED, Outcome.TRANSIENT)  # refused, or composed and no server


def test_the_mailbox_of_the_embedded_environment(tmp_path: Path) -> None:
    mailbox = Mailbox(tmp_path / "mailbox")

    async def run() -> list[Outcome]:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: create_smtp(mailbox), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, opened("smtp", endpoint(port)) as adapter:
            recipients = ("ana@example.com", "ana@refused.example", "ana@later.example", "joão@example.com")
            return [(await adapter.send(email(recipient=recipient))).outcome for recipient in recipients]

    assert asyncio.run(run()) == [
        Outcome.ACCEPTED,
        Outcome.NO_SUCH_ADDRESS,
        Outcome.DEFERRED,
        Outcome.ACCEPTED,
    ]
    _, received = mailbox.messages()
    assert received.recipients == ["ana@example.com"]
    assert received.header("Subject") == "Seu boleto vence amanhã"
