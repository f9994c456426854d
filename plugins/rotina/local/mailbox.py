"""A mailbox for the embedded environment: an SMTP server that keeps every message, and a web view of them.

Nothing leaves the machine. Recipients at `refused.example` are refused for good (550) and recipients at
`later.example` for now (451), so that the handling of refusals can be tried.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesParser
from pathlib import Path
from zoneinfo import ZoneInfo

from aiosmtpd.smtp import SMTP, Envelope, Session
from jinja2 import Environment, FileSystemLoader
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

_WEB = Path(__file__).with_name("web")
_TIME_ZONE = ZoneInfo("America/Sao_Paulo")
_ID = re.compile(r"\d{20}-[0-9a-f]{8}")
_LIST_LENGTH = 200

_REFUSALS = {
    "refused.example": "550 5.1.1 Mailbox does not exist",
    "later.example": "451 4.3.0 Mailbox busy, try again later",
}

# The pages load nothing but our own style sheet and the message in a frame.
_PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; frame-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# The HTML of a message: styles and embedded pictures, no scripts, forms or network, an origin of its own.
_MESSAGE_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)


@dataclass(frozen=True)
class Attachment:
    """A part of a message that is meant to be saved."""

    filename: str
    content_type: str
    content: bytes


class StoredMessage:
    """A message as it was received; any bytes at all can be read as one."""

    def __init__(self, path: Path, *, headers_only: bool = False) -> None:
        self.id = path.stem
        self.path = path
        # The default policy (compat32) reads broken headers as they are; the newer ones raise on some.
        parser = BytesParser()
        with path.open("rb") as file:
            self._message: Message = parser.parse(file, headersonly=headers_only)

    @property
    def received_at(self) -> datetime:
        """When it was received, in Brazilian time."""
        return datetime.fromtimestamp(int(self.id[:20]) / 1e9, _TIME_ZONE)

    def header(self, name: str) -> str:
        """The first header of that name, decoded; empty when there is none."""
        value = self._message.get(name)
        return "" if value is None else _decoded(str(value))

    @property
    def headers(self) -> list[tuple[str, str]]:
        """All headers in their order, decoded."""
        return [(name, _decoded(str(value))) for name, value in self._message.items()]

    @property
    def recipients(self) -> list[str]:
        """The addresses it was delivered to (the envelope's, whatever the To header claims)."""
        return self.header("X-Envelope-To").split()

    @property
    def text(self) -> str | None:
        """The plain-text part, if it has one."""
        return self._body("text/plain")

    @property
    def html(self) -> str | None:
        """The HTML part, if it has one: written by anyone, never to be shown without a sandbox."""
        return self._body("text/html")

    @property
    def attachments(self) -> list[Attachment]:
        """The parts that are not the body."""
        return [
            Attachment(
                filename=_decoded(part.get_filename("")) or f"parte-{number}",
                content_type=part.get_content_type(),
                content=_payload(part),
            )
            for number, part in enumerate(self._leaves(), start=1)
            if not _is_body(part)
        ]

    def summary(self) -> dict[str, object]:
        """What a list shows, ready for JSON."""
        return {
            "id": self.id,
            "received_at": self.received_at.isoformat(),
            "mail_from": self.header("X-Envelope-From"),
            "recipients": self.recipients,
            "from": self.header("From"),
            "to": self.header("To"),
            "subject": self.header("Subject"),
        }

    def _leaves(self) -> Iterator[Message]:
        return (part for part in self._message.walk() if not part.is_multipart())

    def _body(self, content_type: str) -> str | None:
        for part in self._leaves():
            if _is_body(part) and part.get_content_type() == content_type:
                return _text(part)
        return None


def _is_body(part: Message) -> bool:
    return part.get_content_type() in ("text/plain", "text/html") and not part.get_filename()


def _payload(part: Message) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _text(part: Message) -> str:
    content = _payload(part)
    try:
        return content.decode(str(part.get_param("charset", "utf-8")), "replace")
    except (LookupError, ValueError):  # a character set that nobody knows
        return content.decode("utf-8", "replace")


def _decoded(value: str) -> str:
    """A header in plain characters; one that is not well-formed as it came."""
    value = value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    try:
        decoded = str(make_header(decode_header(value)))
    except (HeaderParseError, LookupError, UnicodeError, ValueError):
        decoded = value
    return " ".join(decoded.split())


class Mailbox:
    """The folder of received messages: one .eml file each, named after the time it came."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, mail_from: str, recipients: list[str], content: bytes) -> str:
        """Keep a message; returns its id. The file appears whole or not at all."""
        message_id = f"{time.time_ns():020d}-{secrets.token_hex(4)}"
        envelope = f"X-Envelope-From: {mail_from}\r\nX-Envelope-To: {' '.join(recipients)}\r\n"
        temporary = self.folder / f".{message_id}"
        temporary.write_bytes(envelope.encode("utf-8", "replace") + content)
        temporary.rename(self.folder / f"{message_id}.eml")
        return message_id

    def messages(self, limit: int | None = None) -> list[StoredMessage]:
        """The messages, newest first, with their headers only."""
        paths = sorted(self.folder.glob("*.eml"), reverse=True)
        return [StoredMessage(path, headers_only=True) for path in paths[:limit]]

    def __len__(self) -> int:
        return sum(1 for _ in self.folder.glob("*.eml"))

    def get(self, message_id: str) -> StoredMessage:
        """One message with its parts. Raises KeyError for an unknown id."""
        path = self.folder / f"{message_id}.eml"
        if not _ID.fullmatch(message_id) or not path.is_file():
            raise KeyError(message_id)
        return StoredMessage(path)

    def clear(self) -> int:
        """Delete all messages; returns how many there were."""
        paths = list(self.folder.glob("*.eml"))
        for path in paths:
            path.unlink()
        return len(paths)


class MailboxHandler:
    """What the SMTP server does with recipients and messages (an aiosmtpd handler)."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.mailbox = mailbox

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take the recipient, or refuse it when its domain is one of the refused ones."""
        domain = address.rpartition("@")[2].rstrip(">").lower()
        if domain in _REFUSALS:
            return _REFUSALS[domain]
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keep the message."""
        content = envelope.original_content or b""
        message_id = self.mailbox.add(envelope.mail_from or "", list(envelope.rcpt_tos), content)
        return f"250 OK kept as {message_id}"


def create_smtp(mailbox: Mailbox) -> SMTP:
    """The protocol of one SMTP connection, for `loop.create_server`."""
    return SMTP(MailboxHandler(mailbox), hostname="rotina.localhost", ident="Rotina", enable_SMTPUTF8=True)


def create_app(mailbox: Mailbox) -> Starlette:
    """The web view: `/` for people, `/api/messages` for programs."""
    pages = Environment(loader=FileSystemLoader(_WEB), autoescape=True)

    def page(template: str, status: int = 200, **values: object) -> Response:
        html = pages.get_template(template).render(**values)
        return HTMLResponse(html, status, headers={"Content-Security-Policy": _PAGE_POLICY})

    def find(request: Request) -> StoredMessage:
        try:
            return mailbox.get(request.path_params["id"])
        except KeyError as error:
            raise HTTPException(404, "mensagem não encontrada") from error

    def show_list(request: Request) -> Response:
        return page("list.html", messages=mailbox.messages(_LIST_LENGTH), total=len(mailbox))

    def show_message(request: Request) -> Response:
        return page("message.html", message=find(request))

    def show_html(request: Request) -> Response:
        html = find(request).html
        if html is None:
            raise HTTPException(404, "a mensagem não tem parte HTML")
        return HTMLResponse(html, headers={"Content-Security-Policy": _MESSAGE_POLICY})

    def download_raw(request: Request) -> Response:
        message = find(request)
        return FileResponse(message.path, media_type="message/rfc822", filename=message.path.name)

    def download_attachment(request: Request) -> Response:
        attachments = find(request).attachments
        number = request.path_params["number"]
        if not 1 <= number <= len(attachments):
            raise HTTPException(404, "anexo não encontrado")
        attachment = attachments[number - 1]
        # Never the type that the sender claims: a browser might show it on our own address.
        name = re.sub(r"[^\w.\- ]", "_", attachment.filename, flags=re.ASCII)
        headers = {
            "Content-Disposition": f'attachment; filename="{name}"',
            "X-Content-Type-Options": "nosniff",
        }
        return Response(attachment.content, media_type="application/octet-stream", headers=headers)

    def list_json(request: Request) -> Response:
        return JSONResponse([message.summary() for message in mailbox.messages()])

    def message_json(request: Request) -> Response:
        message = find(request)
        attachments = [
            {"filename": item.filename, "content_type": item.content_type, "size": len(item.content)}
            for item in message.attachments
        ]
        parts = {"text": message.text, "html": message.html, "attachments": attachments}
        return JSONResponse(message.summary() | {"headers": message.headers} | parts)

    def clear(request: Request) -> Response:
        return JSONResponse({"deleted": mailbox.clear()})

    def show_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if request.url.path.startswith("/api/"):
            return JSONResponse({"detail": error.detail}, error.status_code)
        return page("error.html", error.status_code, detail=error.detail)

    return Starlette(
        routes=[
            Route("/", show_list),
            Route("/messages/{id}", show_message),
            Route("/messages/{id}/html", show_html),
            Route("/messages/{id}/raw", download_raw),
            Route("/messages/{id}/attachments/{number:int}", download_attachment),
            Route("/api/messages", list_json, methods=["GET"]),
            Route("/api/messages", clear, methods=["DELETE"]),
            Route("/api/messages/{id}", message_json),
            Mount("/static", StaticFiles(directory=_WEB / "static")),
        ],
        # Another site's page must not reach the mailbox under a host name of its own (DNS rebinding).
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])],
        exception_handlers={HTTPException: show_error},
    )
