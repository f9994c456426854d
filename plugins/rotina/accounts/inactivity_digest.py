"""The digest of the inactivity monitor: one e-mail in Portuguese per person, with the accounts found.

The first accounts stand in the e-mail, all of them in a CSV file when there are more. What the gateway's
limit leaves no room for is cut from the file, and the e-mail says how much and where it stands.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, replace
from typing import Any

import jinja2
from pydantic_core import from_json, to_json

from rotina.errors import SettingError
from rotina.runs.summary import load_layout

LAYOUT = "inactivity_digest"

#: Accounts that stand in the e-mail itself.
LISTED = 50

PROCESS_TITLES = {
    "account": "cadastro",
    "campaign_action": "ação de campanha",
    "opportunity": "oportunidade",
    "order": "pedido",
    "quote": "cotação",
    "task": "tarefa",
    "ticket": "atendimento",
}

_HEADER = "\ufeffPerfil;Conta;Nome;Último movimento;Processo;Responsável antes;Responsável depois\r\n"
_LINE_END = rb"\r\n"  # as JSON writes it


@dataclass(frozen=True)
class Digest:
    """What a person is told: a row of include/sql/inactivity_monitor/list_digests.sql."""

    login: str
    name: str
    email: str
    accounts: int
    rows: list[dict[str, Any]]
    csv: str | None
    profiles: list[dict[str, Any]]
    layout: str


def compose(digest: Digest, *, business_date: dt.date, run_id: int, payload_limit: int) -> bytes:
    """The payload of a digest as JSON, for a gateway of kind smtp.

    Fewer accounts are told where there is no room for all: the file ends earlier, or there is none and the
    e-mail names fewer. An e-mail that names none may still have more than `payload_limit` bytes: the outbox
    refuses that.
    """
    listed = len(digest.rows)
    file_name = f"contas-sem-movimento-{business_date}.csv"

    def payload(attached: int, missing: int, lines: str | None) -> bytes:
        values = {
            "name": digest.name,
            "accounts": digest.accounts,
            "profiles": [
                {**profile, "rows": [row for row in digest.rows if row["profile"] == profile["name"]]}
                for profile in digest.profiles
            ],
            "business_date": f"{business_date:%d/%m/%Y}",
            "run_id": run_id,
            "file_name": file_name,
            "attached": attached,
            "missing": missing,
        }
        number = f"{digest.accounts:,}".replace(",", ".")
        content: dict[str, Any] = {
            "subject": f"[Rotina] Contas sem movimento em {business_date:%d/%m/%Y}: {number}",
            "html": load_layout(f"{digest.layout}.html.j2").render(values),
            "text": load_layout(f"{digest.layout}.txt.j2").render(values),
        }
        if lines is not None:
            content["attachments"] = [{"name": file_name, "type": "text/csv", "text": _HEADER + lines}]
        return to_json(content)

    alone = payload(0, digest.accounts - listed, None)
    if len(alone) > payload_limit and listed:
        fewer = replace(digest, rows=digest.rows[: listed // 2])
        return compose(fewer, business_date=business_date, run_id=run_id, payload_limit=payload_limit)
    if digest.csv is None:
        return alone
    # With the longest numbers that may stand in it.
    room = payload_limit - len(payload(digest.accounts, digest.accounts, ""))
    lines, attached = _cut(digest.csv, room)
    if attached <= listed:  # the file would tell nothing that the e-mail does not
        return alone
    return payload(attached, digest.accounts - attached, lines)


def check_layout(layout: str) -> None:
    """Refuse the name of a layout that a digest cannot be written with.

    Raises:
        SettingError: there is no such layout, or it fails for an example.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", layout):
        raise SettingError("layout", layout, "must be a name of small letters, digits and _")
    try:
        compose(
            replace(_SAMPLE, layout=layout), business_date=dt.date(2026, 11, 20), run_id=1, payload_limit=0
        )
    except jinja2.TemplateNotFound as error:
        raise SettingError("layout", layout, f"there is no include/layouts/{error.name}") from None
    except jinja2.TemplateError as error:
        raise SettingError("layout", layout, f"fails for an example: {error}") from None


def _cut(csv: str, room: int) -> tuple[str, int]:
    """The first lines of a file that take at most `room` bytes as JSON, and how many they are."""
    escaped = to_json(csv)[1:-1]
    if len(escaped) > room:
        escaped = escaped[: escaped.rfind(_LINE_END, 0, max(room, 0)) + len(_LINE_END)] if room > 0 else b""
        if not escaped.endswith(_LINE_END):  # not even one line
            return "", 0
    return from_json(b'"%s"' % escaped), escaped.count(_LINE_END)


_SAMPLE = Digest(
    login="ana",
    name="Ana Souza",
    email="ana@example.com",
    accounts=2,
    rows=[
        {
            "profile": "Clientes sem contato",
            "account_id": 1,
            "name": "Empresa",
            "moved_on": "20/08/2026",
            "process": "atendimento",
            "owner_before": None,
            "owner_left": False,
            "owner_after": "ana",
        }
    ],
    csv=None,
    profiles=[{"name": "Clientes sem contato", "period_days": 90, "accounts": 2}],
    layout=LAYOUT,
)
