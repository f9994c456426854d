"""What a person does to the queue: cancel, reorder, send again, settle what is unknown, pause and resume.

Every action may be done while dispatchers are at work. It takes a message only if its status allows it at
that very moment, and never waits for a message that a dispatcher has in hand (`skip locked`): so neither can
change what the other is changing, and no two of them can lock each other out. What was in hand is looked at
again a moment later. Actions of operators follow one another. Each is one transaction with its audit entry.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

import psycopg
from psycopg.rows import dict_row, scalar_row

from rotina.errors import SettingError
from rotina.messaging.gateways import check_range, check_text, load_gateway, record_audit
from rotina.sql import statement

Status = Literal["waiting", "sending", "sent", "failed", "unknown", "held", "cancelled", "expired"]

#: Statuses of the messages that come to rest well; there are millions of them, and no action changes them.
_AT_REST: frozenset[Status] = frozenset({"sent", "cancelled", "expired"})
_PENDING: tuple[Status, ...] = ("waiting", "held")

#: How often, and how many seconds apart, messages are looked at again that somebody had in hand.
_LAST_YEAR = 9000
_LOOKS = 20
_BETWEEN_LOOKS = 0.05


@dataclass(frozen=True)
class MessageFilter:
    """Messages of the queue that match all that is given; archived ones are not among them."""

    gateway: str | None = None
    """Code of the gateway."""
    origin: str | None = None
    statuses: Sequence[Status] | None = None
    template: str | None = None
    """Code of the template."""
    priority: int | None = None
    created_from: dt.datetime | None = None
    """Aware, inclusive."""
    created_to: dt.datetime | None = None
    """Aware, exclusive."""
    recipient: str | None = field(default=None, repr=False)
    customer_id: int | None = None
    account_id: int | None = None
    reason: str | None = None
    error: str | None = None
    """A part of the text of the error, in capital or small letters."""
    everything: bool = False
    """Asks for all messages; without it a filter must ask for something."""

    def check(self) -> None:
        """Refuse a filter that means nothing.

        Raises:
            SettingError: names the field.
        """
        asked = {name: value for name, value in asdict(self).items() if value not in (None, False)}
        if not asked:
            raise SettingError("filter", None, "is empty; to mean all messages, ask for everything")
        if self.everything and len(asked) > 1:
            raise SettingError("everything", True, "goes with no other field of the filter")
        if self.statuses is not None:
            if not self.statuses:
                raise SettingError("statuses", "none", "name at least one, or leave it out")
            for status in self.statuses:
                if status not in get_args(Status):
                    raise SettingError("statuses", status, f"must be among {', '.join(get_args(Status))}")
        if self.priority is not None:
            check_range("priority", self.priority, 1, 9)
        for name in ("origin", "recipient", "reason", "error"):
            if asked.get(name) is not None:
                check_text(name, asked[name])
        for name in ("created_from", "created_to"):
            _check_instant(name, asked.get(name))
        if self.created_from and self.created_to and self.created_from >= self.created_to:
            raise SettingError("created_to", self.created_to.isoformat(), "must be after created_from")


@dataclass(frozen=True)
class Part:
    """The next messages that match a filter; thousands at a time, so that dispatchers need not wait long."""

    of: MessageFilter
    above: int
    """Number of the last message of the part before, 0 for the first."""
    most: int
    """Messages of a part, those with the lowest numbers."""


#: Messages by their ids, by a filter, or the next ones of a filter.
Selection = Sequence[int] | MessageFilter | Part


@dataclass(frozen=True)
class Done:
    """What an action did, or would do: `selected` = `records` + the sum of `left_out`."""

    action: str
    selected: int
    """Messages that match the selection, whatever their status; all ids that were given."""
    records: int
    """Messages that were changed; in a dry run those that would be."""
    left_out: Mapping[str, int]
    """Messages left alone, by why: `status` (does not allow it), `expired` (their time is over), `not_found`
    (ids that are not in the queue), `busy` (a dispatcher did not let go of them). Only what is above zero."""
    audit_id: int | None
    """Key of the audit entry; None in a dry run."""
    last: int | None = None
    """Number of the last message of a Part, when there may be others above it."""


def cancel(
    connection: psycopg.Connection, selection: Selection, login: str, *, dry_run: bool = False
) -> Done:
    """Cancel messages that are waiting or held.

    Raises:
        SettingError: a wrong selection, or no login.
    """
    return _Action("cancel", "cancel_messages", _PENDING).run(connection, selection, login, dry_run=dry_run)


def set_priority(
    connection: psycopg.Connection, selection: Selection, login: str, priority: int, *, dry_run: bool = False
) -> Done:
    """Give messages that are waiting or held a priority from 1 (goes first) to 9.

    Raises:
        SettingError: a wrong selection or priority, or no login.
    """
    check_range("priority", priority, 1, 9)
    details = {"priority": priority}
    action = _Action("set_priority", "set_priority", _PENDING, details, details)
    return action.run(connection, selection, login, dry_run=dry_run)


def reorder(
    connection: psycopg.Connection,
    ids: Sequence[int],
    login: str,
    to: Literal["front", "back"],
    *,
    dry_run: bool = False,
) -> Done:
    """Move messages that are waiting or held, in the order of `ids`, before or behind all others of their
    gateway and priority.

    Raises:
        SettingError: no ids, an id given twice, neither front nor back, or no login.
    """
    if to not in ("front", "back"):
        raise SettingError("to", to, "must be front or back")
    if _filter_of(ids) is not None:
        raise SettingError("ids", "a filter", "an order is told by ids")
    values = {"ids": list(ids), "front": to == "front"}
    action = _Action("reorder", "move_messages", _PENDING, values, {"to": to}, prepare="place_messages")
    return action.run(connection, ids, login, dry_run=dry_run)


def retry(
    connection: psycopg.Connection,
    selection: Selection,
    login: str,
    *,
    expires_at: dt.datetime | None = None,
    dry_run: bool = False,
) -> Done:
    """Put failed messages back into the line, with all their attempts before them.

    Messages whose time is over are left out, unless a new `expires_at` (aware) is given. With one, expired
    messages go again too, if they are named: by their ids, or by `statuses` of the filter.

    Raises:
        SettingError: a wrong selection, an `expires_at` that is past or without time zone, or no login.
    """
    statuses: tuple[Status, ...] = ("failed",)
    wanted = _filter_of(selection)
    named = wanted is None or "expired" in (wanted.statuses or ())
    if named and expires_at is not None:
        statuses = ("failed", "expired")
    return _resend("retry", statuses, connection, selection, login, expires_at=expires_at, dry_run=dry_run)


def release(
    connection: psycopg.Connection,
    selection: Selection,
    login: str,
    *,
    expires_at: dt.datetime | None = None,
    dry_run: bool = False,
) -> Done:
    """Send messages again whose outcome is unknown. Whoever does so answers for what may be sent twice.

    Messages whose time is over are left out, unless a new `expires_at` (aware) is given.

    Raises:
        SettingError: a wrong selection, an `expires_at` that is past or without time zone, or no login.
    """
    return _resend(
        "release", ("unknown",), connection, selection, login, expires_at=expires_at, dry_run=dry_run
    )


def confirm(
    connection: psycopg.Connection,
    selection: Selection,
    login: str,
    outcome: Literal["sent", "failed"],
    *,
    reason: str | None = None,
    dry_run: bool = False,
) -> Done:
    """Settle messages whose outcome is unknown as a person found out: sent, or failed for a `reason`.

    Raises:
        SettingError: a wrong selection or outcome, failed without a reason, sent with one, or no login.
    """
    if outcome not in ("sent", "failed"):
        raise SettingError("outcome", outcome, "must be sent or failed")
    if outcome == "failed":
        check_text("reason", reason or "")
    elif reason is not None:
        raise SettingError("reason", reason, "goes with failed only")
    values = {"sent": outcome == "sent", "reason": reason}
    action = _Action(
        "confirm", "confirm_messages", ("unknown",), values, {"outcome": outcome, "reason": reason}
    )
    return action.run(connection, selection, login, dry_run=dry_run)


def pause(connection: psycopg.Connection, gateway_code: str, reason: str, login: str) -> Done:
    """Let a gateway send nothing until somebody resumes it. One that is paused stays so for its first reason.

    Raises:
        SettingError: there is no such gateway, or a blank reason or login.
    """
    check_text("reason", reason)
    values = {"reason": reason.strip(), "login": login}
    return _change_gateway(connection, "pause", gateway_code, login, values, {"reason": reason.strip()})


def resume(connection: psycopg.Connection, gateway_code: str, login: str) -> Done:
    """Let a gateway send at once that is paused, or rests because it was slow or away.

    Raises:
        SettingError: there is no such gateway, or a blank login.
    """
    return _change_gateway(connection, "resume", gateway_code, login, {}, {})


@dataclass(frozen=True)
class _Action:
    """An action on messages: what it is called, its statement, and which statuses it may change."""

    name: str
    statement: str
    allowed: tuple[Status, ...]
    values: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    refuse_expired: bool = False
    prepare: str | None = None
    """A statement to run once before, on the selection."""

    def run(self, connection: psycopg.Connection, selection: Selection, login: str, *, dry_run: bool) -> Done:
        check_text("login", login)
        values = {
            **_compiled(connection, selection),
            "allowed": list(self.allowed),
            "refuse_expired": self.refuse_expired,
            "dry_run": dry_run,
        }
        with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
            if not dry_run:
                _execute(cursor, "lock_operators")
            _execute(cursor, "create_selection")
            (found,) = _execute(cursor, "select_messages", values).fetchall()
            if dry_run:
                changed = found["allowed"] - found["expired"]
                left = {"expired": found["expired"], "status": 0}
            else:
                changed = self._change(cursor)
                left = self._left(cursor)
                left["busy"] = left.pop("eligible")
            _execute(cursor, "drop_selection")
            selected = found["matched"]
            left["status"] += found["matched"] - found["allowed"]
            if _filter_of(selection) is None:
                selected = len(values["ids"])
                left["not_found"] = selected - found["matched"]
            left_out = {why: number for why, number in left.items() if number}
            audit_id = None
            if not dry_run:
                details = {**self.details, "selected": selected, "left_out": left_out}
                audit_id = record_audit(connection, login, self.name, _target(selection), details, changed)
        more = isinstance(selection, Part) and found["matched"] == selection.most
        return Done(self.name, selected, changed, left_out, audit_id, found["last"] if more else None)

    def _change(self, cursor: psycopg.Cursor[dict[str, Any]]) -> int:
        """Change what may be changed; what somebody has in hand is tried again for a second."""
        if self.prepare:
            _execute(cursor, self.prepare, self.values)
        changed = 0
        for look in range(_LOOKS):
            if look:
                time.sleep(_BETWEEN_LOOKS)
            changed += sum(row["changed"] for row in _execute(cursor, self.statement, self.values))
            if not self._left(cursor)["eligible"]:
                break
        return changed

    def _left(self, cursor: psycopg.Cursor[dict[str, Any]]) -> dict[str, int]:
        values = {"allowed": list(self.allowed), "refuse_expired": self.refuse_expired}
        (left,) = _execute(cursor, "count_left", values).fetchall()
        return left


def _execute(
    cursor: psycopg.Cursor[dict[str, Any]], name: str, values: Mapping[str, Any] | None = None
) -> psycopg.Cursor[dict[str, Any]]:
    return cursor.execute(statement(f"message_queue/{name}"), values)


def _resend(
    name: str,
    statuses: tuple[Status, ...],
    connection: psycopg.Connection,
    selection: Selection,
    login: str,
    *,
    expires_at: dt.datetime | None,
    dry_run: bool,
) -> Done:
    _check_instant("expires_at", expires_at)
    if expires_at is not None and expires_at <= dt.datetime.now(dt.UTC):
        raise SettingError("expires_at", expires_at.isoformat(), "is past; the messages would not be sent")
    if expires_at is not None and expires_at.year > _LAST_YEAR:
        # What is beyond the calendar of the programs that read it would stop them.
        raise SettingError("expires_at", expires_at.isoformat(), f"must be before the year {_LAST_YEAR + 1}")
    values = {
        "statuses": list(statuses),
        "reason": name,
        "expires_at": expires_at,
        "reset_attempts": "failed" in statuses,
    }
    details = {"expires_at": expires_at.isoformat()} if expires_at else {}
    action = _Action(name, "resend_messages", statuses, values, details, refuse_expired=expires_at is None)
    return action.run(connection, selection, login, dry_run=dry_run)


def _change_gateway(
    connection: psycopg.Connection,
    action: str,
    gateway_code: str,
    login: str,
    values: Mapping[str, Any],
    details: Mapping[str, Any],
) -> Done:
    check_text("login", login)
    gateway_id = load_gateway(connection, gateway_code).id
    with connection.transaction():
        name = f"message_queue/{action}_gateway"
        changed = connection.execute(statement(name), {**values, "gateway_id": gateway_id}).rowcount
        audit_id = record_audit(connection, login, action, {"gateway": gateway_code}, details, changed)
    return Done(action, 1, changed, {} if changed else {"status": 1}, audit_id)


def _filter_of(selection: Selection) -> MessageFilter | None:
    """The filter of a selection; None of one by ids."""
    if isinstance(selection, Part):
        return selection.of
    return selection if isinstance(selection, MessageFilter) else None


def _compiled(connection: psycopg.Connection, selection: Selection) -> dict[str, Any]:
    """The values of select_messages.sql; what is not asked for is None."""
    if isinstance(selection, Part):
        check_range("above", selection.above, 0, 2**63 - 1)
        check_range("most", selection.most, 1, 2**31)
        part = {"above": selection.above, "most": selection.most}
        return {**_compiled(connection, selection.of), **part}
    if not isinstance(selection, MessageFilter):
        _check_ids(selection)
        nothing = MessageFilter()
        return {**_filter_values(nothing), "ids": list(selection), "at_rest": True}
    selection.check()
    values = _filter_values(selection)
    if selection.gateway is not None:
        values["gateway_id"] = load_gateway(connection, selection.gateway).id
    if selection.template is not None:
        wanted = {"code": selection.template, "gateway_id": values["gateway_id"]}
        with connection.cursor(row_factory=scalar_row) as cursor:
            (ids,) = cursor.execute(statement("message_queue/find_templates"), wanted).fetchall()
        if not ids:
            raise SettingError("template", selection.template, "there is no template of that code")
        values["template_ids"] = ids
    return values


def _filter_values(selection: MessageFilter) -> dict[str, Any]:
    values = asdict(selection)
    for resolved in ("gateway", "template", "everything"):
        del values[resolved]
    statuses = None if selection.statuses is None else list(selection.statuses)
    return {
        **values,
        "ids": None,
        "above": None,
        "most": None,
        "gateway_id": None,
        "template_ids": None,
        "statuses": statuses,
        "at_rest": statuses is None or not _AT_REST.isdisjoint(statuses),
    }


def _check_ids(ids: Sequence[int]) -> None:
    if not ids:
        raise SettingError("ids", "none", "name at least one message")
    for number in ids:
        check_range("ids", number, 1, 2**63 - 1)
    if len(set(ids)) < len(ids):
        raise SettingError("ids", "repeated", "a message is named twice")


def _check_instant(field_name: str, value: dt.datetime | None) -> None:
    if value is not None and value.tzinfo is None:
        raise SettingError(field_name, value.isoformat(), "needs a time zone")


def _target(selection: Selection) -> dict[str, Any]:
    """A selection as an audit entry has it."""
    if isinstance(selection, Part):
        above = {"above": selection.above} if selection.above else {}
        return {**_target(selection.of), **above}
    if not isinstance(selection, MessageFilter):
        return {"ids": list(selection)}
    asked = {name: value for name, value in asdict(selection).items() if value not in (None, False)}
    return {
        "filter": {
            name: value.isoformat() if isinstance(value, dt.datetime) else value
            for name, value in asked.items()
        }
    }
