"""Customers: finding an account, and all that is known of it on one page, opt-outs included."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Literal

import psycopg
from psycopg.rows import dict_row
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from rotina.accounts.account_search import MOST_FOUND, search_accounts
from rotina.console import message_words, words
from rotina.console.codes import document, in_words, word
from rotina.console.language import ZONE, gettext
from rotina.console.language import lazy_gettext as _
from rotina.console.message_words import filled
from rotina.console.pages import Page, connect, get, post
from rotina.console.rights import Right, caller_of
from rotina.messaging.addresses import canonical_email
from rotina.messaging.suppressions import Channel, is_address, suppress, unsuppress
from rotina.runs.business_date import today_in
from rotina.sql import statement

#: Rows of each history, and messages of a page.
MOST_CHANGES = 100
MOST_MESSAGES = 25

#: What tells who an account is: a single account found by it is opened at once.
_SURE = ("id", "customer", "document", "phone", "email")


class Address(BaseModel):
    """An address of a customer."""

    model_config = ConfigDict(extra="forbid")

    channel: Literal["phone", "email"]
    address: str


class OptOut(Address):
    """That an address gets no more messages."""

    reason: str


class Customers(Page):
    """The search, and the page of an account."""

    path = "/customers"
    menu_label = _("Customers")
    icon = "fa-solid fa-user-group"
    order = 50

    @get()
    def index(self, request: Request) -> Response:
        """The search: `?q=`."""
        term = request.query_params.get("q", "").strip()
        with connect(request) as connection:
            found = search_accounts(connection, term, MOST_FOUND + 1)
        if len(found) == 1 and found[0].matched in _SURE:
            return RedirectResponse(f"{request.url_for('console:customers')}/{found[0].id}", status_code=303)
        return self.render(
            request,
            "customers.html",
            term=term,
            found=found[:MOST_FOUND],
            more=len(found) > MOST_FOUND,
            word=word,
            document=document,
        )

    @get("/{id:int}")
    def account(self, request: Request) -> Response:
        """The page of an account; `?before=` a message: older messages."""
        before = request.query_params.get("before", "")
        values: dict[str, Any] = {
            "account_id": request.path_params["id"],
            "today": today_in(ZONE),
            "before": int(before) if re.fullmatch("[0-9]{1,18}", before) else None,
        }
        if values["account_id"] >= 2**63:
            raise HTTPException(404)
        with connect(request) as connection:
            account = next(iter(_rows(connection, "get_account", values)), None)
            if account is None:
                raise HTTPException(404)
            changes = {
                name: _rows(connection, f"list_{name}", {**values, "most": MOST_CHANGES})
                for name in ("status_changes", "class_changes", "inactivity")
            }
            values["customer_id"] = account["erp_customer_id"]
            messages = _rows(connection, "list_messages", {**values, "most": MOST_MESSAGES + 1})
            addresses = _addresses(connection, account, messages)
        for one in changes["class_changes"]:
            one["rule_values"] = in_words(one["rule_values"])
        return self.render(
            request,
            "customer.html",
            account=account,
            **changes,
            messages=[{**one, "said": _said(one)} for one in messages[:MOST_MESSAGES]],
            older=messages[MOST_MESSAGES - 1]["id"] if len(messages) > MOST_MESSAGES else None,
            before=values["before"],
            addresses=addresses,
            word=word,
            document=document,
            message_words=message_words,
        )

    @post("/opt-out", Right.ACT, OptOut)
    def opt_out(self, request: Request, body: OptOut) -> dict[str, str]:
        """Send no more messages to an address."""
        with connect(request) as connection:
            suppress(connection, body.channel, body.address, body.reason, caller_of(request).login)
        return {"message": gettext("No more messages go to %(address)s.") % {"address": body.address}}

    @post("/opt-in", Right.ACT, Address)
    def opt_in(self, request: Request, body: Address) -> dict[str, str]:
        """Let an address get messages again."""
        with connect(request) as connection:
            unsuppress(connection, body.channel, body.address, caller_of(request).login)
        return {"message": gettext("%(address)s gets messages again.") % {"address": body.address}}


def _rows(connection: psycopg.Connection, name: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement(f"console_customers/{name}"), values).fetchall()


def _addresses(
    connection: psycopg.Connection, account: dict[str, Any], messages: Iterable[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The addresses of an account and of its messages as these carry them, and whether they are opted out."""
    pairs: list[tuple[Channel, str]] = [
        ("email", canonical_email(account["email"] or "")),
        ("phone", (account["phone"] or "").strip()),
        *((one["channel"], one["recipient"]) for one in messages),
    ]
    known = [pair for pair in dict.fromkeys(pairs) if pair[1]]
    values = {"channels": [pair[0] for pair in known], "addresses": [pair[1] for pair in known]}
    suppressed = {
        (one["channel"], one["address"]): one for one in _rows(connection, "list_suppressions", values)
    }
    return [
        {
            "channel": channel,
            "address": address,
            "usable": is_address(channel, address),
            "suppressed": suppressed.get((channel, address)),
        }
        for channel, address in known
    ]


def _said(message: dict[str, Any]) -> str:
    """What a message says: the subject of an e-mail, or the template's text with its variables."""
    payload = message["payload"]
    if subject := payload.get("subject"):
        return str(subject)
    variables = payload.get("variables")
    if message["body"] is None or not isinstance(variables, list):
        return str(message["template"] or "")
    return filled(str(message["body"]), variables)


# What a run says of an account leads here.
words.RECORD_PAGES["account"] = f"{Customers.path}/{{id}}"

SCREENS = [Customers]
