"""Birthday e-mails (crm304rp): the persons whose birthday it is get an e-mail, once per account and birthday.

A greeting belongs to its day: one that is late by more days than the run allows is not written, and one that
was written leaves the queue no later than that.
"""

from __future__ import annotations

import calendar
import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import psycopg
from psycopg.rows import class_row, scalar_row
from psycopg.types.json import Jsonb
from pydantic_core import to_json

from rotina.accounts.audiences import find_audience, open_audience
from rotina.errors import SettingError
from rotina.messaging import outbox
from rotina.messaging.addresses import canonical_email
from rotina.messaging.email_frames import save_frame
from rotina.messaging.email_templates import (
    EmailTemplate,
    Renderer,
    RenderError,
    check_email_template,
    load_email_template,
    values_of,
)
from rotina.messaging.gateways import Gateway, check_range, find_email_gateway
from rotina.runs.agenda import load_agenda
from rotina.runs.business_date import today_in
from rotina.runs.record import Outcome, Run
from rotina.sql import statement

ROUTINE = "birthday_emails"

#: Name of the e-mail template, unless the run asks for another one.
TEMPLATE = "aniversario"

#: When those born on 29 February are greeted in a common year: month and day.
LEAP_DAY_RULES = {"february_28": (2, 28), "march_1": (3, 1)}
LEAP_DAY_RULE = "february_28"

#: The most days late that a run may allow.
MOST_DAYS_LATE = 31

#: E-mails that are rendered before they go to the database together.
BATCH = 500

#: Makes the unsubscribe link of an address.
Link = Callable[[str], str]


@dataclass(frozen=True)
class _Settings:
    """What a run works with, checked."""

    template: EmailTemplate
    gateway: Gateway
    days_late: int
    leap_day_rule: str
    link: Link


@dataclass(frozen=True)
class _Account:
    """Somebody whose e-mail is to be rendered."""

    account_id: int
    greeted_id: int
    """The first account of the same address; it stands for the address."""
    name: str
    email: str
    birth_on: dt.date
    dedupe_key: str


def check_settings(
    connection: psycopg.Connection, params: dict[str, Any], *, open_links: Callable[[], Link]
) -> None:
    """Refuse to start with a wrong setting. Changes nothing.

    Args:
        connection: of the task role.
        params: of the run, as `write_messages` has them.
        open_links: gives what makes unsubscribe links, or raises SettingError.

    Raises:
        SettingError: there is no such template, audience or e-mail gateway, or it is not active; the
            audience's filter is wrong; the subject is wrong or wants an unknown variable; `days_late` or
            `leap_day_rule` is none; unsubscribe links cannot be made.
    """
    _settings(connection, params, open_links)


def write_messages(
    connection: psycopg.Connection,
    run: Run,
    *,
    open_links: Callable[[], Link],
    now: dt.datetime | None = None,
) -> Outcome:
    """Write the greetings of the business date, in the transaction of the caller.

    Params of the run: `template` (name), `subject` (empty: the template's), `audience` (name; empty: all
    accounts), `gateway` (code; empty: the only active one that sends e-mail), `days_late` (how many days
    after the birthday a greeting may still go out), `leap_day_rule` (when those born on 29 February are
    greeted in a common year) and `dry_run` (name who would get an e-mail, and write none).

    Args:
        connection: of the task role, in a transaction.
        run: the run record.
        open_links: gives what makes unsubscribe links, or raises SettingError.
        now: the moment that says whether a greeting is late; None: the present.

    Returns:
        The equation over the active persons whose birthday the business date is.

    Raises:
        SettingError: as `check_settings`.
        psycopg.errors.SerializationFailure: as `outbox.enqueue`.
    """
    settings = _settings(connection, run.params, open_links)
    zone = load_agenda().entry(ROUTINE).zone
    last_on = run.date + dt.timedelta(days=settings.days_late)
    outbox.open_outgoing(connection)
    birthdays = birthdays_of(run.date, settings.leap_day_rule)
    unicode_emails = _unicode_emails(connection, birthdays)
    connection.execute(
        statement("birthday_emails/select_accounts"),
        {
            "birthdays": birthdays,
            "unicode_emails": unicode_emails,
            "spellings": [canonical_email(email) for email in unicode_emails],
            "business_date": run.date,
            "year": run.date.year,
            "audience_id": open_audience(connection, run.params.get("audience"), run.date),
            "too_late": today_in(zone, now) > last_on,
        },
    )
    expires_at = dt.datetime.combine(last_on + dt.timedelta(days=1), dt.time(), zone)
    dry_run = bool(run.params.get("dry_run"))
    _render(connection, settings, run.date, expires_at, dry_run=dry_run)
    connection.execute(
        statement("birthday_emails/add_outgoing"),
        {"gateway_id": settings.gateway.id, "expires_at": expires_at},
    )
    connection.execute(statement("birthday_emails/drop_tables"))
    outcome = outbox.enqueue(connection, run, dry_run=dry_run, list_unwritten=True, now=now)
    return replace(outcome, details={**_details(run, settings), **outcome.details})


def birthdays_of(date: dt.date, leap_day_rule: str) -> list[int]:
    """The birthdays that are greeted on a date, as month * 100 + day.

    Args:
        date: the day of the greeting.
        leap_day_rule: a key of `LEAP_DAY_RULES`: when those born on 29 February are greeted in a common year.
    """
    birthdays = [date.month * 100 + date.day]
    if not calendar.isleap(date.year) and (date.month, date.day) == LEAP_DAY_RULES[leap_day_rule]:
        birthdays.append(229)
    return birthdays


def _unicode_emails(connection: psycopg.Connection, birthdays: list[int]) -> list[str]:
    """The few addresses whose spelling only Python knows."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(
            statement("birthday_emails/list_unicode_emails"), {"birthdays": birthdays}
        ).fetchall()


def _render(
    connection: psycopg.Connection,
    settings: _Settings,
    birthday: dt.date,
    expires_at: dt.datetime,
    *,
    dry_run: bool,
) -> None:
    """Render the e-mails that are still to be written into `outgoing`, in batches.

    Of the accounts of one address those after the first that succeeds are left out.
    """
    renderer = Renderer(settings.template)
    frame = None if dry_run or renderer.frame is None else save_frame(connection, renderer.frame)
    frame_bytes = len(renderer.frame.html.encode()) if renderer.frame else 0
    done = None
    with connection.cursor("unwritten", row_factory=class_row(_Account)) as accounts:
        accounts.execute(statement("birthday_emails/list_unwritten"))
        for batch in iter(partial(accounts.fetchmany, BATCH), []):
            # The database takes in one e-mail while the next is rendered.
            with (
                connection.cursor() as cursor,
                cursor.copy(statement("birthday_emails/copy_outgoing")) as copy,
            ):
                for account in batch:
                    if account.greeted_id == done:
                        continue
                    content, problem = _rendered(renderer, frame, account, birthday, settings.link)
                    copy.write_row(
                        (
                            "account",
                            str(account.account_id),
                            account.dedupe_key,
                            str(account.account_id),
                            settings.gateway.id,
                            Jsonb(content, dumps=bytes),
                            len(content) + frame_bytes,
                            account.email,
                            account.name,
                            account.account_id,
                            expires_at,
                            "failed" if problem else None,
                            "render_failed" if problem else None,
                            problem,
                        )
                    )
                    if not problem:
                        done = account.greeted_id


def _rendered(
    renderer: Renderer, frame: int | None, account: _Account, birthday: dt.date, link: Link
) -> tuple[bytes, str | None]:
    """The e-mail of an account as JSON; an empty one and its problem where it cannot be rendered."""
    url = link(account.email)
    values = values_of(
        name=account.name,
        email=account.email,
        birth_on=account.birth_on,
        business_date=birthday,
        unsubscribe_url=url,
    )
    try:
        subject, text, html = renderer.render_parts(values)
    except RenderError as error:
        return b"{}", str(error)
    body: object = html if isinstance(html, str) else {"frame": frame, **html}
    return to_json({"subject": subject, "text": text, "html": body, "unsubscribe_url": url}), None


def _settings(
    connection: psycopg.Connection, params: dict[str, Any], open_links: Callable[[], Link]
) -> _Settings:
    """What a run works with. Raises SettingError as `check_settings`."""
    link = open_links()
    link("ninguem@example.com")  # whose keys or address of ours may be wrong
    days_late = params.get("days_late", 0)
    check_range("days_late", days_late, 0, MOST_DAYS_LATE)
    leap_day_rule = params.get("leap_day_rule", LEAP_DAY_RULE)
    if leap_day_rule not in LEAP_DAY_RULES:
        raise SettingError("leap_day_rule", leap_day_rule, f"must be one of {', '.join(LEAP_DAY_RULES)}")
    find_audience(connection, params.get("audience"))
    return _Settings(
        template=_template(connection, params),
        gateway=find_email_gateway(connection, params.get("gateway") or None),
        days_late=days_late,
        leap_day_rule=leap_day_rule,
        link=link,
    )


def _template(connection: psycopg.Connection, params: dict[str, Any]) -> EmailTemplate:
    """The e-mail template with the subject of the run, checked again: anybody may write into a table."""
    template = load_email_template(connection, params.get("template") or TEMPLATE)
    if params.get("subject"):
        template = replace(template, subject=params["subject"])
    check_email_template(template)
    return template


def _details(run: Run, settings: _Settings) -> dict[str, Any]:
    details = {"template": settings.template.name}
    if run.params.get("audience"):
        details["audience"] = run.params["audience"]
    return details
