"""SMTP: e-mail over a few persistent connections, one message per recipient."""

from __future__ import annotations

import asyncio
import hashlib
import re
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from email import policy
from email.errors import MessageError
from email.headerregistry import BaseHeader, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import Any

import aiosmtplib
from aiosmtplib import (
    SMTPAuthenticationError,
    SMTPDataError,
    SMTPException,
    SMTPRecipientRefused,
    SMTPResponseException,
    SMTPSenderRefused,
    SMTPServerDisconnected,
)

from rotina.errors import SettingError
from rotina.messaging.adapters import Delivery, Outgoing, SmtpEndpoint
from rotina.messaging.adapters.replies import shown
from rotina.messaging.adapters.settings import SmtpSettings
from rotina.messaging.addresses import ascii_domain
from rotina.messaging.gateways import Gateway
from rotina.messaging.outcome import Outcome, Result

#: One address, without a name and without quotes: it stands in a command and in a header as it is.
_ADDRESS = re.compile(r"[^\s\x00-\x20\x7f@<>()\[\],;:\\\"]+@[^\s\x00-\x20\x7f@<>()\[\],;:\\\"]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
_TEXT_TYPE = re.compile(r"text/[a-z0-9.+-]+")
_WEB_ADDRESS = re.compile(r"https?://[\x21\x23-\x3b\x3d\x3f-\x7e]+")

_SERVICE_CLOSING = 421
#: The server wants a login, another one or a safer one (RFC 4954), to whatever command it says so.
_LOGIN_WANTED = (530, 534, 535, 538)

#: What says of a recipient that there is no such address and will be none (RFC 3463, RFC 7505): 5.1.1 no
#: such mailbox, 5.1.3 not an address at all, 5.1.6 moved without a trace, 5.1.10 its domain declares that
#: it takes no mail. Not 5.1.2, a domain that was not found: a broken resolver of ours says it of everybody.
#: Nor 5.2.x (full, disabled for now), 5.7.x (policy, our reputation), or a bare 550, which may be any of
#: these.
_NO_SUCH_ADDRESS = re.compile(r"5\.1\.(1|3|6|10)(?![.0-9])")

_BYE_SECONDS = 2.0


class _UnfoldedHeader(UnstructuredHeader):
    """A header on one line: folded, a long web address would be encoded, and be none any more."""

    def fold(self, *, policy: Any) -> str:
        return f"{self.name}: {self}{policy.linesep}"  # type: ignore[attr-defined]


class _Headers(HeaderRegistry):
    """As the library's, which makes a new class for each header of each message; this one keeps them."""

    def __init__(self) -> None:
        super().__init__()
        self.map_to_type("list-unsubscribe", _UnfoldedHeader)  # type: ignore[arg-type]  # it mixes the base in
        self._classes: dict[str, type[BaseHeader]] = {}

    def __getitem__(self, name: str) -> type[BaseHeader]:
        if name not in self._classes:
            self._classes[name] = super().__getitem__(name)
        return self._classes[name]


_headers = _Headers()
_AUTO_SUBMITTED = _headers("Auto-Submitted", "auto-generated")
_ONE_CLICK = _headers("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")  # RFC 8058
_POLICY = policy.SMTP.clone(header_factory=_headers)
#: How a message is written, by whether the server takes UTF-8 in headers, and eight bits in bodies.
_POLICIES = {
    (utf8, eight_bits): _POLICY.clone(utf8=utf8, cte_type="8bit" if eight_bits else "7bit")
    for utf8 in (False, True)
    for eight_bits in (False, True)
}


class _UnsendableError(Exception):
    """This message can never be sent as it is. The text has nothing personal."""


class _NotConnectedError(Exception):
    """There is no connection to send over, and `result` is what that means."""

    def __init__(self, result: Result) -> None:
        super().__init__(result.error)
        self.result = result


@dataclass(slots=True)
class _Mail:
    """A message on its way."""

    recipient: str
    message: EmailMessage
    handed_over: bool = False
    """Whether its end may have left: from then on nobody knows, until the server answers."""


class _Session:
    """One connection, used for one message after another."""

    def __init__(self, client: aiosmtplib.SMTP) -> None:
        self.client = client
        self.used = 0
        self._unfinished = False

    def write(self, mail: _Mail) -> tuple[bytes, list[str]]:
        """The message as this server takes it, and the options of its MAIL command.

        Raises:
            _UnsendableError: this server cannot take it, or it cannot be written.
        """
        utf8 = not mail.recipient.isascii()
        if utf8 and not self.client.supports_extension("smtputf8"):
            raise _UnsendableError("the mail server takes no address with letters outside ASCII before the @")
        eight_bits = self.client.supports_extension("8bitmime")
        try:
            content = mail.message.as_bytes(policy=_POLICIES[utf8, eight_bits])
        except (ValueError, LookupError, MessageError) as error:
            raise _UnsendableError(f"the message cannot be written: {type(error).__name__}") from error
        if not content.endswith(b"\r\n"):
            content += b"\r\n"
        options = ["BODY=8BITMIME"] * eight_bits + ["SMTPUTF8"] * utf8
        return content.replace(b"\r\n.", b"\r\n..") + b".\r\n", options

    async def transmit(self, sender: str, mail: _Mail, content: bytes, options: list[str]) -> int:
        """Hand a message over; returns the code with which the server took it.

        Not by the library's own `sendmail`: that does not tell a connection lost before the end of the
        message from one lost after it.

        Raises:
            SMTPResponseException: the server refused it, at the stage that the exception's type says.
            OSError, SMTPException: the connection broke.
        """
        client = self.client
        self.used += 1
        self._unfinished = True
        encoding = "utf-8" if "SMTPUTF8" in options else "ascii"
        await client.mail(sender, options=options, encoding=encoding, timeout=None)
        await client.rcpt(mail.recipient, encoding=encoding, timeout=None)
        ready = await client.execute_command(b"DATA", timeout=None)
        if ready.code != 354:
            raise SMTPDataError(ready.code, ready.message)
        if client.protocol is None:
            raise SMTPServerDisconnected("Connection lost")
        mail.handed_over = True
        client.protocol.write(content)
        answer = await client.protocol.read_response()
        if not 200 <= answer.code < 300:
            raise SMTPDataError(answer.code, answer.message)
        self._unfinished = False
        return answer.code

    async def ready(self) -> bool:
        """Whether the connection is open, after clearing away a message that was refused on it."""
        if self._unfinished and self.client.is_connected:
            try:
                await self.client.rset(timeout=None)
            except (OSError, SMTPException):
                self.client.close()
            self._unfinished = False
        return self.client.is_connected

    async def end(self) -> None:
        """Say goodbye and close the connection."""
        try:
            await self.client.quit(timeout=_BYE_SECONDS)
        except (OSError, SMTPException):
            self.client.close()


class SmtpAdapter:
    """A mail server. To be made inside the event loop that uses it."""

    def __init__(self, gateway: Gateway, endpoint: SmtpEndpoint) -> None:
        """Raises SettingError for wrong settings of the gateway, or a sender that is no address."""
        settings = SmtpSettings.read(gateway.settings)
        self._endpoint = endpoint
        self._seconds = gateway.call_timeout_seconds
        self._uses = settings.messages_per_connection
        self.places = min(gateway.share, settings.connections)
        self._room = asyncio.Semaphore(self.places)
        self._idle: list[_Session] = []
        self._local_hostname: str | None = None
        self._tls = _tls_context(endpoint)
        sender_field = f"connection {gateway.connection_id}, extra from_email"
        try:
            self._sender = _address(parseaddr(endpoint.sender)[1])
        except _UnsendableError as error:
            raise SettingError(sender_field, endpoint.sender, str(error)) from None
        if _CONTROL.search(endpoint.sender) or not self._sender.isascii():
            problem = "has a line break, or letters outside ASCII before the @"
            raise SettingError(sender_field, endpoint.sender, problem)
        self._from = _headers("From", endpoint.sender)

    async def send(self, message: Outgoing) -> Result:
        """As `Adapter.send`."""
        try:
            mail = self._compose(message)
        except _UnsendableError as error:
            return Result(Outcome.REJECTED, error=str(error))
        async with self._room:  # waiting for a connection takes none of the call's time
            try:
                async with asyncio.timeout(self._seconds):
                    return await self._deliver(mail)
            except _NotConnectedError as error:
                return error.result
            except TimeoutError:
                return _broken(mail, f"no answer within {self._seconds:g} s")
            except (OSError, SMTPException) as error:
                return _broken(mail, f"connection lost: {type(error).__name__}")

    async def find(self, message: Outgoing) -> Result | None:
        """None: a mail server cannot be asked."""
        return None

    async def delivery(self, gateway_message_id: str) -> Delivery | None:
        """None: a mail server cannot be asked."""
        return None

    async def available(self) -> int | None:
        """None: a mail server does not tell."""
        return None

    async def close(self) -> None:
        """As `Adapter.close`."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*(session.end() for session in idle))

    def _compose(self, message: Outgoing) -> _Mail:
        """The e-mail of a message. Raises _UnsendableError when it cannot be made."""
        payload = message.payload
        subject, text, html = payload.get("subject"), payload.get("text"), payload.get("html")
        unsubscribe_url = payload.get("unsubscribe_url")
        if not isinstance(subject, str) or _CONTROL.search(subject):
            raise _UnsendableError("its subject has a line break or another control character, or is missing")
        if not (isinstance(text, str) or isinstance(html, str)):
            raise _UnsendableError("it has neither text nor html")
        if not isinstance(html, str | None):
            raise _UnsendableError("the frame of its html is not there")
        if unsubscribe_url is not None and not _WEB_ADDRESS.fullmatch(str(unsubscribe_url)):
            raise _UnsendableError("its unsubscribe_url is not a web address")
        attachments = _attachments(payload.get("attachments"))
        recipient = _address(message.recipient)
        # The same in every attempt, so that a mailbox that got two shows which one they are.
        key = hashlib.sha256(f"{message.id} {message.dedupe_key}".encode()).hexdigest()[:32]
        mail = EmailMessage(policy=_POLICY)
        try:
            mail["From"] = self._from
            mail["To"] = recipient
            mail["Subject"] = subject
            mail["Date"] = format_datetime(datetime.now(UTC))
            mail["Message-ID"] = f"<{key}@{self._sender.rpartition('@')[2]}>"
            mail["Auto-Submitted"] = _AUTO_SUBMITTED
            if unsubscribe_url is not None:
                mail["List-Unsubscribe"] = f"<{unsubscribe_url}>"
                if unsubscribe_url.startswith("https:"):  # RFC 8058, section 3.1: one click takes HTTPS
                    mail["List-Unsubscribe-Post"] = _ONE_CLICK
            if isinstance(text, str):
                mail.set_content(text)
            if isinstance(html, str):
                (mail.add_alternative if isinstance(text, str) else mail.set_content)(html, subtype="html")
            for name, subtype, content in attachments:
                # As bytes: of a text the library would change the ends of the lines.
                mail.add_attachment(
                    content.encode(),
                    maintype="text",
                    subtype=subtype,
                    filename=name,
                    params={"charset": "utf-8"},
                )
        except (ValueError, LookupError, MessageError) as error:
            raise _UnsendableError(f"the message cannot be written: {type(error).__name__}") from error
        return _Mail(recipient, mail)

    async def _deliver(self, mail: _Mail) -> Result:
        if session := await self._reusable():
            try:
                result = await self._transmit(session, mail)
            except (OSError, SMTPException):
                if mail.handed_over:
                    raise
            else:
                if result.code != _SERVICE_CLOSING or mail.handed_over:
                    return result
            # The server had closed the idle connection, or did so now: nothing of the message was taken.
        return await self._transmit(await self._connect(), mail)

    async def _transmit(self, session: _Session, mail: _Mail) -> Result:
        """What the server answers to a message; keeps the connection for the next one, unless it broke."""
        try:
            content, options = session.write(mail)
        except _UnsendableError as error:
            result = Result(Outcome.REJECTED, error=str(error))
        else:
            try:
                _heed_cancellation()
                code = await session.transmit(self._sender, mail, content, options)
                result = Result(Outcome.ACCEPTED, code=code)
            except SMTPResponseException as error:
                if error.code == _SERVICE_CLOSING or not 400 <= error.code < 600:
                    session.client.close()
                result = _refused(error, mail)
            except BaseException:
                session.client.close()
                raise
        if session.client.is_connected:
            self._idle.append(session)
        return result

    async def _reusable(self) -> _Session | None:
        """The connection that was used last, if one is still open and not used up."""
        while self._idle:
            session = self._idle.pop()
            try:
                if session.used < self._uses and await session.ready():
                    return session
                await session.end()
            except BaseException:
                session.client.close()
                raise
        return None

    async def _connect(self) -> _Session:
        """A new connection, logged in. Raises _NotConnectedError."""
        endpoint = self._endpoint
        client = aiosmtplib.SMTP(
            hostname=endpoint.host,
            port=endpoint.port,
            username=endpoint.login,
            password=endpoint.password,
            use_tls=endpoint.use_tls,
            start_tls=endpoint.start_tls,
            tls_context=self._tls,
            timeout=endpoint.connect_timeout,
            local_hostname=self._local_hostname,
        )
        try:
            await client.connect()
            if client.is_ehlo_or_helo_needed:
                await client.ehlo()
        except (OSError, SMTPException) as error:
            client.close()
            raise _NotConnectedError(_not_connected(error, endpoint)) from error
        except BaseException:
            client.close()
            raise
        self._local_hostname = client.local_hostname  # looking it up may take seconds
        return _Session(client)


def _not_connected(error: OSError | SMTPException, endpoint: SmtpEndpoint) -> Result:
    """The class of a failure to connect and log in."""
    private = (endpoint.login or "", endpoint.password or "")
    outcome, code = Outcome.TRANSIENT, None
    if isinstance(error, SMTPResponseException):
        code = error.code if error.code > 0 else None  # -1 is the library's, of an unreadable answer
        if isinstance(error, SMTPAuthenticationError) and error.code >= 500:
            outcome = Outcome.CONFIGURATION
        reason = error.message
    elif isinstance(error, OSError):
        cause = error.__cause__ or error
        reason = getattr(cause, "strerror", None) or type(cause).__name__
    else:  # the server does not offer STARTTLS, or the login, that are set
        outcome, reason = Outcome.CONFIGURATION, error.message
    return Result(outcome, code=code, error=shown(reason, private, prefix="not connected: "))


def _refused(error: SMTPResponseException, mail: _Mail) -> Result:
    """The class of a refusal, by its stage: the sender, the recipient or the message."""
    code = error.code
    if not 400 <= code < 600:  # no answer to what was asked
        return _broken(mail, f"unexpected answer {code}")
    permanent = code >= 500
    if code == _SERVICE_CLOSING:
        outcome = Outcome.TRANSIENT
    elif code in _LOGIN_WANTED:
        outcome = Outcome.CONFIGURATION
    elif isinstance(error, SMTPSenderRefused):
        outcome = Outcome.CONFIGURATION if permanent else Outcome.TRANSIENT
    elif permanent and isinstance(error, SMTPRecipientRefused) and _NO_SUCH_ADDRESS.match(error.message):
        outcome = Outcome.NO_SUCH_ADDRESS
    else:
        outcome = Outcome.REJECTED if permanent else Outcome.DEFERRED
    return Result(outcome, code=code, error=shown(error.message, (mail.recipient,), prefix=f"{code} "))


def _heed_cancellation() -> None:
    """Raise the cancellation, or the end of the time, that was swallowed while connecting.

    The library waits with asyncio.wait_for, which in Python 3.11 does so when both come at once.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _broken(mail: _Mail, error: str) -> Result:
    """What it means that the talk ended without an answer."""
    return Result(Outcome.MAYBE_SENT if mail.handed_over else Outcome.TRANSIENT, error=error)


def _attachments(value: object) -> list[tuple[str, str, str]]:
    """Name, subtype of text/… and content of each file. Raises _UnsendableError when they are none."""
    if value is None:
        return []
    if not (isinstance(value, list) and all(isinstance(file, dict) for file in value)):
        raise _UnsendableError("its attachments are no list of files")
    files = []
    for file in value:
        name, kind, content = file.get("name"), file.get("type"), file.get("text")
        if not (isinstance(name, str) and name) or _CONTROL.search(name):
            raise _UnsendableError("the name of an attachment is missing, or has a control character")
        if not (isinstance(kind, str) and _TEXT_TYPE.fullmatch(kind)):
            raise _UnsendableError("the type of an attachment must be one of text, as text/csv")
        if not isinstance(content, str):
            raise _UnsendableError("an attachment has no text")
        files.append((name, kind.removeprefix("text/"), content))
    return files


def _address(address: str) -> str:
    """An e-mail address with its domain in ASCII. Raises _UnsendableError when it is none."""
    if not _ADDRESS.fullmatch(address):
        raise _UnsendableError("is not one e-mail address")
    try:
        return ascii_domain(address)
    except UnicodeError:
        raise _UnsendableError("has a domain that is none") from None


def _tls_context(endpoint: SmtpEndpoint) -> ssl.SSLContext | None:
    if not (endpoint.use_tls or endpoint.start_tls):
        return None
    context = ssl.create_default_context()
    if not endpoint.verify_certificate:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
