"""The message queue: its grid, each message with all that became of it, and what people do to many at once.

A page of its own, not a grid of the library: what is filtered here is the very MessageFilter that the actions
on all that match take, so that what was counted is what is changed; and no page may depend on how many
messages there are (rotina.console.message_search).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
import time
from collections.abc import Mapping
from typing import Any, Literal, get_args
from urllib.parse import parse_qsl, urlencode

import psycopg
from pydantic import BaseModel, ConfigDict, Field, NaiveDatetime
from sqlalchemy import RowMapping, func, select
from sqlalchemy.orm import Session
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from rotina.console import message_search, message_words, words
from rotina.console.database import LONG_MILLISECONDS
from rotina.console.export import Columns, Export
from rotina.console.grids import MOST_COUNTED
from rotina.console.language import ZONE, duration, gettext, instant, ngettext, number
from rotina.console.language import lazy_gettext as _
from rotina.console.message_search import Place
from rotina.console.message_words import filled
from rotina.console.pages import Page, connect, database_of, get, post
from rotina.console.rights import Right, caller_of
from rotina.errors import SettingError
from rotina.messaging import operations
from rotina.messaging.email_frames import Frame, frame_of, with_frame
from rotina.messaging.operations import Done, MessageFilter, Part, Selection, Status
from rotina.models import (
    AuditEntry,
    DeliveryEvent,
    EmailFrame,
    Gateway,
    Message,
    MessageArchive,
    MessageAttempt,
    MessageAttemptArchive,
    MessageTemplate,
    Run,
)
from rotina.sql import statement

PAGE_SIZE = 50

#: The counts above the grid stop here.
MOST_OPEN = 1_000

#: Messages that may be named one by one for an action.
MOST_NAMED = 500

#: Messages of a filter that are changed in one transaction, which dispatchers and other people wait for.
PART = 10_000

#: How long one request changes part after part; the page then asks for the rest, and tells how far it is.
SECONDS_OF_A_REQUEST = 4.0

ActionName = Literal[
    "cancel", "set_priority", "front", "back", "retry", "release", "confirm_sent", "confirm_failed"
]

#: The statuses that an action may change.
ALLOWED: dict[ActionName, tuple[Status, ...]] = {
    "cancel": ("waiting", "held"),
    "set_priority": ("waiting", "held"),
    "front": ("waiting", "held"),
    "back": ("waiting", "held"),
    "retry": ("failed", "expired"),
    "release": ("unknown",),
    "confirm_sent": ("unknown",),
    "confirm_failed": ("unknown",),
}

#: An order is told by ids.
BY_IDS_ONLY: tuple[ActionName, ...] = ("front", "back")


class SoFar(BaseModel):
    """What the requests before changed of the messages that a filter finds."""

    model_config = ConfigDict(extra="forbid")

    above: int = Field(0, ge=0, lt=2**63)
    """Number of the last message that was looked at."""
    records: int = Field(0, ge=0, lt=2**53)
    left_out: int = Field(0, ge=0, lt=2**53)


class Asked(BaseModel):
    """An action on messages: those of `ids`, or all that match the filter of a page's address."""

    model_config = ConfigDict(extra="forbid")

    action: ActionName
    ids: list[int] | None = Field(None, max_length=MOST_NAMED)
    query: str | None = Field(None, max_length=2_000)
    priority: int | None = None
    expires_at: NaiveDatetime | None = None
    """By the clock of the business dates."""
    reason: str | None = Field(None, max_length=1_000)
    so_far: SoFar | None = None
    """Of a filter: go on from there."""


@dataclasses.dataclass(frozen=True)
class Event:
    """Something of a message's life, in the order of time."""

    at: dt.datetime
    title: str
    look: str = ""
    """A class of a state (static/rotina.css)."""
    details: tuple[str, ...] = ()
    run_id: int | None = None


class MessageQueue(Page):
    """The queue."""

    path = "/queue"
    menu_label = _("Message queue")
    icon = "fa-solid fa-envelopes-bulk"
    order = 30

    @get()
    def index(self, request: Request) -> Response:
        """A page of messages: those that a filter finds, newest first or in their line, or a search."""
        given = request.query_params
        wanted = filter_of(given)
        words_of_search = given.get("q", "").strip()
        in_line = given.get("order") == "line" and wanted.statuses == ("waiting",)
        context: dict[str, Any] = {"newest": None, "older": None, "total": None, "looked_to": None}
        with database_of(request).sessions() as session:
            if words_of_search:
                hits = message_search.search(session, words_of_search)
                ids = [hit.id for hit in hits if not hit.archived]
                archived = [(hit.id, hit.created_at) for hit in hits if hit.archived]
                rows = _rows(session, ids, archived)
                context["rows"] = sorted(rows, key=lambda row: (row["created_at"], row["id"]), reverse=True)
                context["total"] = len(hits)
            elif in_line:
                after = _place(given.get("after"))
                ids_in_line, last = message_search.find_in_line(session, wanted, PAGE_SIZE, after)
                context["rows"] = _rows(session, ids_in_line)
                context["newest"] = _link(request, after=None) if after else None
                context["older"] = _link(request, after=".".join(map(str, last))) if last else None
            else:
                below, look = _whole(given.get("below")), _whole(given.get("look")) or message_search.LOOK
                found = message_search.find(session, wanted, PAGE_SIZE, below, look)
                context["rows"] = _rows(session, found.ids)
                context["total"] = found.total
                context["newest"] = _link(request, below=None, look=None) if below is not None else None
                if found.looked_to is not None:
                    context["looked_to"] = message_search.instant_of(session, found.looked_to)
                if found.older is not None:
                    further = look * 10 if found.looked_to is not None else None
                    context["older"] = _link(request, below=found.older, look=further)
            counted = session.connection().exec_driver_sql(
                statement("console_queue/count_open"), {"most": MOST_OPEN + 1}
            )
            open_counts = {row.status: row.messages for row in counted}
            gateways = session.execute(select(Gateway.code, Gateway.name).order_by(Gateway.code)).all()
            templates = session.execute(
                select(MessageTemplate.code, func.min(MessageTemplate.name).label("name"))
                .group_by(MessageTemplate.code)
                .order_by(MessageTemplate.code)
            ).all()
        return self.render(
            request,
            "message_queue.html",
            **context,
            given=given,
            wanted=wanted,
            asks=bool(_asked(given)),
            searched=words_of_search,
            in_line=in_line,
            open_counts=open_counts,
            statuses=get_args(Status),
            actions=[name for name in ALLOWED if _may_find(name, wanted)],
            gateways=gateways,
            templates=templates,
            origins=_ORIGINS,
            reasons=_REASONS,
            most_open=MOST_OPEN,
            filter_query=urlencode(_asked(given)),
            export=f"{request.url.path}/export?{urlencode(_asked(given))}",
            status_link=lambda status: _link_to_status(request, status),
            **_words(),
        )

    @get("/export")
    def export(self, request: Request) -> Response:
        """The messages of the queue that match, as a file."""
        columns: Columns = [
            (gettext("Number"), Message.id),
            (gettext("Status"), Message.status),
            (gettext("Reason"), Message.reason),
            (gettext("Last error"), Message.error),
            (gettext("Client"), Message.recipient_name),
            (gettext("Address"), Message.recipient),
            (gettext("Customer"), Message.customer_id),
            (gettext("Account"), Message.account_id),
            (gettext("Gateway"), Gateway.code),
            (gettext("Template"), MessageTemplate.code),
            (gettext("Template data"), Message.payload["variables"].astext),
            (gettext("Subject"), Message.payload["subject"].astext),
            (gettext("Origin"), Message.origin),
            (gettext("Priority"), Message.priority),
            (gettext("Included"), Message.created_at),
            (gettext("Send after"), Message.send_after),
            (gettext("Expires at"), Message.expires_at),
            (gettext("Attempts"), Message.tries),
            (gettext("Sent at"), Message.sent_at),
            (gettext("Delivery"), Message.delivery_status),
            (gettext("Key of the gateway"), Message.gateway_message_id),
        ]
        with database_of(request).sessions() as session:
            query = message_search.all_matching(session, filter_of(request.query_params))
        query = query.outerjoin(Gateway, Gateway.id == Message.gateway_id)
        query = query.outerjoin(MessageTemplate, MessageTemplate.id == Message.template_id)
        return Export(database_of(request), "messages", columns, query)

    @get("/{message_id:int}")
    def message(self, request: Request) -> Response:
        """A message in full, archived or not, and its attempts in the order of time."""
        message_id = request.path_params["message_id"]
        if message_id >= 2**63:
            raise HTTPException(404)
        with database_of(request).sessions() as session:
            message = session.get(Message, message_id) or _archived(session, message_id)
            gateway = session.get(Gateway, message.gateway_id)
            template = session.get(MessageTemplate, message.template_id) if message.template_id else None
            events = _events(session, message)
            runs = {event.run_id for event in events if event.run_id} | {message.run_id}
            found = session.scalars(select(Run).where(Run.id.in_(runs - {None}))).all()
            payload = _whole_payload(session, message.payload)
        return self.render(
            request,
            "message_queue_item.html",
            title=f"{gettext('Message')} {message.id}",
            message=message,
            archived_at=getattr(message, "archived_at", None),
            gateway=gateway,
            approved=template,
            payload=payload,
            text=_text(payload, template),
            html=payload["html"] if isinstance(payload.get("html"), str) else None,
            events=events,
            runs={run.id: run for run in found},
            actions=[name for name, statuses in ALLOWED.items() if message.status in statuses],
            **_words(),
        )

    @post("/preview", Right.ACT, Asked)
    def preview(self, request: Request, body: Asked) -> dict[str, Any]:
        """What an action would do; nothing is changed."""
        selection = _selection(body)
        if selection is None:
            done = Done(body.action, 0, 0, {}, None)
        else:
            with connect(request, LONG_MILLISECONDS) as connection:
                done = _run(connection, body, selection, caller_of(request).login, dry_run=True)
        return {"records": done.records, "facts": _facts(body.action, done)}

    @post("/apply", Right.ACT, Asked)
    def apply(self, request: Request, body: Asked) -> dict[str, Any]:
        """Do it: to all that are named, or to as many of a filter as a few seconds allow.

        `more` of the answer, if there is more, is the `so_far` of the next request.
        """
        selection = _selection(body)
        if selection is None:
            raise HTTPException(422, gettext("None of these messages has a status that allows it."))
        login = caller_of(request).login
        with connect(request, LONG_MILLISECONDS) as connection:
            if isinstance(selection, MessageFilter):
                so_far, is_done = _run_parts(connection, body, selection, login)
            else:
                so_far, is_done = _added(SoFar(), _run(connection, body, selection, login)), True
        return {
            "message": _told(body.action, so_far),
            "records": so_far.records,
            "more": None if is_done else so_far.model_dump(),
        }


# -- what is asked for --------------------------------------------------------------------------------------

#: The parameters of the address that filter.
_FILTERS = ("status", "gateway", "template", "origin", "priority", "from", "to", "reason", "error")

#: The routines that write messages.
_ORIGINS = ("billing_messages", "birthday_emails", "inactivity_monitor", "signature_links")

#: Reasons that are offered to filter by.
_REASONS = (
    "rejected",
    "opted_out",
    "no_such_address",
    "deferred",
    "maybe_sent",
    "interrupted",
    "in_attendance",
    "receivable_missing",
    "settled",
    "suppressed",
    "configuration",
    "cancelled",
    "expired",
    "confirmed",
    "retry",
    "release",
)


def filter_of(given: QueryParams) -> MessageFilter:
    """The filter that the address of a page has.

    Raises:
        SettingError: a value means nothing.
    """

    def text(name: str) -> str | None:
        value = given.get(name, "").strip() or None
        if value and "\0" in value:
            raise SettingError(name, value, "has a character that nobody can type")
        return value

    first, last = _day("from", given.get("from")), _day("to", given.get("to"))
    wanted = MessageFilter(
        gateway=text("gateway"),
        template=text("template"),
        origin=text("origin"),
        statuses=tuple(given.getlist("status")) or None,  # type: ignore[arg-type] # checked below
        priority=_priority(given.get("priority")),
        created_from=_midnight(first) if first else None,
        created_to=_midnight(last + dt.timedelta(days=1)) if last else None,
        reason=text("reason"),
        error=text("error"),
    )
    if wanted != MessageFilter():
        wanted.check()
    return wanted


def _asked(given: QueryParams) -> list[tuple[str, str]]:
    """What filters, of the parameters of an address."""
    return [(name, value) for name, value in given.multi_items() if name in _FILTERS and value.strip()]


def _selection(asked: Asked) -> Selection | None:
    """The messages of an action; None when none of those that match has a status that it may change.

    Only statuses that it may change are looked at, so that what was sent long ago is not counted.
    """
    if (asked.ids is None) == (asked.query is None):
        raise SettingError("ids", None, "name messages, or a filter, and not both")
    if asked.ids is not None:
        return asked.ids
    if asked.action in BY_IDS_ONLY:
        raise SettingError("query", asked.query, "an order is told by ids")
    wanted = filter_of(QueryParams(parse_qsl(asked.query or "")))
    allowed = ALLOWED[asked.action]
    if asked.action == "retry" and asked.expires_at is None:
        allowed = ("failed",)
    statuses = tuple(status for status in allowed if wanted.statuses is None or status in wanted.statuses)
    if wanted.statuses is None:  # expired ones go again only when they are named
        statuses = tuple(status for status in statuses if status != "expired")
    return dataclasses.replace(wanted, statuses=statuses) if statuses else None


def _may_find(action: ActionName, wanted: MessageFilter) -> bool:
    """Whether messages of a filter may have a status that an action may change."""
    return wanted.statuses is None or not set(ALLOWED[action]).isdisjoint(wanted.statuses)


def _run_parts(
    connection: psycopg.Connection, asked: Asked, wanted: MessageFilter, login: str
) -> tuple[SoFar, bool]:
    """Change part after part, each in its own transaction with its audit entry; and whether that was all."""
    so_far = asked.so_far or SoFar()
    ends = time.monotonic() + SECONDS_OF_A_REQUEST
    while True:
        done = _run(connection, asked, Part(wanted, so_far.above, PART), login)
        so_far = _added(so_far, done)
        if done.last is None or time.monotonic() >= ends:
            return so_far, done.last is None


def _added(so_far: SoFar, done: Done) -> SoFar:
    return SoFar(
        above=done.last or so_far.above,
        records=so_far.records + done.records,
        left_out=so_far.left_out + sum(done.left_out.values()),
    )


def _run(
    connection: psycopg.Connection, asked: Asked, selection: Selection, login: str, *, dry_run: bool = False
) -> Done:
    expires_at = asked.expires_at.replace(tzinfo=ZONE) if asked.expires_at else None
    if expires_at is not None and expires_at <= dt.datetime.now(dt.UTC):
        raise HTTPException(422, gettext("The new end of their time is past; they would not be sent."))
    match asked.action:
        case "cancel":
            return operations.cancel(connection, selection, login, dry_run=dry_run)
        case "set_priority":
            if asked.priority is None:
                raise SettingError("priority", None, "is needed")
            return operations.set_priority(connection, selection, login, asked.priority, dry_run=dry_run)
        case "front" | "back":
            assert not isinstance(selection, MessageFilter | Part)
            return operations.reorder(connection, selection, login, asked.action, dry_run=dry_run)
        case "retry":
            return operations.retry(connection, selection, login, expires_at=expires_at, dry_run=dry_run)
        case "release":
            return operations.release(connection, selection, login, expires_at=expires_at, dry_run=dry_run)
        case "confirm_sent":
            return operations.confirm(connection, selection, login, "sent", dry_run=dry_run)
        case "confirm_failed":
            reason = asked.reason or (gettext("not told") if dry_run else "")
            return operations.confirm(connection, selection, login, "failed", reason=reason, dry_run=dry_run)


def _facts(action: ActionName, done: Done) -> list[tuple[str, str]]:
    """What a dry run found, as titles and numbers."""
    titles = {
        "status": gettext("Left alone, because of their status"),
        "expired": gettext("Left alone, because their time is over"),
        "not_found": gettext("Not in the queue any more"),
        "busy": gettext("Left alone, because they are being sent"),
    }
    changed = {
        "cancel": gettext("Will be cancelled"),
        "set_priority": gettext("Will get the priority"),
        "front": gettext("Will be moved"),
        "back": gettext("Will be moved"),
        "retry": gettext("Will go again"),
        "release": gettext("Will go again"),
        "confirm_sent": gettext("Will be noted as sent"),
        "confirm_failed": gettext("Will be noted as failed"),
    }
    rest = [(titles[why], number(records)) for why, records in done.left_out.items()]
    return [(changed[action], number(done.records)), *rest]


def _told(action: ActionName, done: SoFar) -> str:
    """What was done, in a sentence or two."""
    n = done.records
    told = {
        "cancel": ngettext("%(num)s message cancelled.", "%(num)s messages cancelled.", n),
        "set_priority": ngettext(
            "%(num)s message has the priority.", "%(num)s messages have the priority.", n
        ),
        "front": ngettext("%(num)s message moved.", "%(num)s messages moved.", n),
        "back": ngettext("%(num)s message moved.", "%(num)s messages moved.", n),
        "retry": ngettext("%(num)s message goes again.", "%(num)s messages go again.", n),
        "release": ngettext("%(num)s message goes again.", "%(num)s messages go again.", n),
        "confirm_sent": ngettext("%(num)s message noted as sent.", "%(num)s messages noted as sent.", n),
        "confirm_failed": ngettext(
            "%(num)s message noted as failed.", "%(num)s messages noted as failed.", n
        ),
    }[action] % {"num": number(n)}
    left = done.left_out
    if left:
        told += " " + ngettext("%(num)s was left alone.", "%(num)s were left alone.", left) % {
            "num": number(left)
        }
    return told


# -- what is shown ------------------------------------------------------------------------------------------


def _rows(
    session: Session, ids: Any, archived: list[tuple[int, dt.datetime]] | None = None
) -> list[RowMapping]:
    """The rows of messages, those of the queue in the order of `ids`."""
    values = {
        "ids": list(ids),
        "archived_ids": [one for one, _ in archived or ()],
        "archived_created_at": [at for _, at in archived or ()],
    }
    found = session.connection().exec_driver_sql(statement("console_queue/list_messages"), values)
    rows = {(row["id"], row["archived_at"] is not None): row for row in found.mappings()}
    order = [(one, False) for one in ids] + [(one, True) for one, _ in archived or ()]
    return [rows[key] for key in order if key in rows]


def _archived(session: Session, message_id: int) -> MessageArchive:
    found = session.scalars(select(MessageArchive).where(MessageArchive.id == message_id)).first()
    if found is None:
        raise HTTPException(404)
    return found


def _events(session: Session, message: Message | MessageArchive) -> list[Event]:
    """What became of a message, in the order of time."""
    included = words.named(message.origin, "routine")
    events = [Event(message.created_at, gettext("Included"), "", (included,), message.run_id)]
    attempts = _attempts(session, message)
    events += [_attempt_event(attempt) for attempt in attempts]
    for told in _deliveries(session, message):
        title = gettext("The gateway tells: %(what)s") % {"what": message_words.delivery_name(told.status)}
        look = "bad" if told.status == "failed" else "good"
        events.append(Event(told.occurred_at, title, look, (told.error,) if told.error else ()))
    for entry in _audit(session, message):
        title = gettext("%(login)s: %(action)s") % {
            "login": entry.login,
            "action": _action_name(entry.action),
        }
        details = tuple(f"{name}: {value}" for name, value in _told_details(entry.details).items())
        events.append(Event(entry.at, title, "", details))
    ended = message.ended_at
    if ended is not None and message.status in ("cancelled", "expired"):
        reason = message_words.reason_name(message.reason)
        events.append(Event(ended, message_words.status_name(message.status), "", (reason,)))
    if isinstance(message, MessageArchive):
        events.append(Event(message.archived_at, gettext("Archived")))
    return sorted(events, key=lambda event: event.at)


def _attempts(
    session: Session, message: Message | MessageArchive
) -> list[MessageAttempt | MessageAttemptArchive]:
    if isinstance(message, MessageArchive):
        archived = MessageAttemptArchive
        query = select(archived).where(
            archived.message_id == message.id, archived.message_created_at == message.created_at
        )
        return list(session.scalars(query.order_by(archived.number)).all())
    mine = select(MessageAttempt).where(MessageAttempt.message_id == message.id)
    return list(session.scalars(mine.order_by(MessageAttempt.number)).all())


def _attempt_event(attempt: MessageAttempt | MessageAttemptArchive) -> Event:
    title = gettext("Attempt %(number)s") % {"number": attempt.number}
    if attempt.outcome is None:
        look = "busy" if attempt.ended_at is None else "odd"
        told = gettext("under way, or interrupted") if attempt.ended_at is None else gettext("no answer")
        return Event(attempt.started_at, title, look, (told,), attempt.run_id)
    look = {
        "accepted": "good",
        "rejected": "bad",
        "opted_out": "bad",
        "no_such_address": "bad",
        "configuration": "bad",
    }.get(attempt.outcome, "odd")
    details = [message_words.reason_name(attempt.outcome)]
    if attempt.code is not None:
        details.append(gettext("answer %(code)s") % {"code": attempt.code})
    if attempt.error:
        details.append(attempt.error)
    if attempt.ended_at is not None:
        took = attempt.ended_at - attempt.started_at
        details.append(gettext("took %(time)s") % {"time": duration(took)})
    return Event(attempt.started_at, title, look, tuple(details), attempt.run_id)


def _deliveries(session: Session, message: Message | MessageArchive) -> list[DeliveryEvent]:
    if message.gateway_message_id is None:
        return []
    query = select(DeliveryEvent).where(
        DeliveryEvent.gateway_id == message.gateway_id,
        DeliveryEvent.gateway_message_id == message.gateway_message_id,
    )
    return list(session.scalars(query.order_by(DeliveryEvent.occurred_at)).all())


def _audit(session: Session, message: Message | MessageArchive) -> list[AuditEntry]:
    """What people did to this very message; what they did by a filter does not name it."""
    query = select(AuditEntry).where(
        AuditEntry.at >= message.created_at,
        AuditEntry.target["ids"].contains([message.id]),
    )
    return list(session.scalars(query.order_by(AuditEntry.at).limit(100)).all())


def _told_details(details: Mapping[str, Any]) -> dict[str, str]:
    """What an audit entry has beside the action, in words."""
    titles = {
        "priority": gettext("priority"),
        "to": gettext("place"),
        "expires_at": gettext("expires at"),
        "outcome": gettext("outcome"),
        "reason": gettext("reason"),
    }
    places = {"front": gettext("to the front"), "back": gettext("to the back")}

    def words_of(name: str, value: Any) -> str:
        if name == "to":
            return places.get(value, str(value))
        if name == "outcome":
            return message_words.status_name(value)
        return instant(dt.datetime.fromisoformat(value)) if name == "expires_at" else str(value)

    return {titles[name]: words_of(name, details[name]) for name in titles if details.get(name) is not None}


def _action_name(action: str) -> str:
    return {
        "cancel": gettext("cancelled it"),
        "set_priority": gettext("changed its priority"),
        "reorder": gettext("moved it"),
        "retry": gettext("sent it again"),
        "release": gettext("released it"),
        "confirm": gettext("settled it"),
    }.get(action, action)


def _whole_payload(session: Session, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is sent; the HTML of an e-mail within its frame, as the recipient gets it."""
    key = frame_of(payload)
    found = session.get(EmailFrame, key) if key is not None else None
    return with_frame(payload, Frame(found.html)) if found else payload


def _text(payload: Mapping[str, Any], template: MessageTemplate | None) -> str | None:
    """What the recipient reads: the text of an e-mail, or the template with its variables filled in."""
    text = payload.get("text")
    if isinstance(text, str):
        return text
    variables = payload.get("variables")
    if template is None or not isinstance(variables, list):
        return None
    return filled(template.body, variables)


def _words() -> dict[str, Any]:
    return {
        "status_name": message_words.status_name,
        "reason_name": message_words.reason_name,
        "delivery_name": message_words.delivery_name,
        "looks": message_words.LOOKS,
        "MOST_COUNTED": MOST_COUNTED,
    }


# -- addresses ----------------------------------------------------------------------------------------------


def _link(request: Request, **changed: Any) -> str:
    """The address of the page with some of its parameters changed; None takes one out."""
    given = [(name, value) for name, value in request.query_params.multi_items() if name not in changed]
    added = [(name, str(value)) for name, value in changed.items() if value is not None]
    return f"?{urlencode(given + added)}"


def _link_to_status(request: Request, status: str | None) -> str:
    """The address with this status only, or any; from its first page."""
    given = [(name, value) for name, value in _asked(request.query_params) if name != "status"]
    return f"?{urlencode(given + ([('status', status)] if status else []))}"


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else None


def _place(text: str | None) -> Place | None:
    found = re.fullmatch(r"([0-9]{1,2})\.(-?[0-9]{1,18})\.([0-9]{1,18})", text or "", re.ASCII)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def _priority(text: str | None) -> int | None:
    if not text or not text.strip():
        return None
    if not re.fullmatch(r"[0-9]", text, re.ASCII):
        raise SettingError("priority", text, "must be a whole number from 1 to 9")
    return int(text)


def _day(field: str, text: str | None) -> dt.date | None:
    if not text or not text.strip():
        return None
    try:
        day = dt.date.fromisoformat(text)
    except ValueError:
        raise SettingError(field, text, "must be a date, as 2026-11-20") from None
    if not 1900 <= day.year <= 9000:
        raise SettingError(field, text, "must be a date, as 2026-11-20")
    return day


def _midnight(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), ZONE)


words.RECORD_PAGES["message"] = "/queue/{id}"

SCREENS = [MessageQueue]
