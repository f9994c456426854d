"""What statuses and reasons of messages are called, in both languages, and what a message says."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rotina.console import words
from rotina.console.language import get_locale

#: English and Portuguese (of a message, which is feminine).
STATUSES: dict[str, tuple[str, str]] = {
    "waiting": ("waiting", "aguardando"),
    "held": ("held", "retida"),
    "sending": ("being sent", "em envio"),
    "sent": ("sent", "enviada"),
    "failed": ("failed", "falhou"),
    "unknown": ("unknown", "desconhecida"),
    "cancelled": ("cancelled", "cancelada"),
    "expired": ("expired", "expirada"),
}

#: Classes of outcome (rotina.messaging.outcome) and what else moved a message, beside those of runs.
REASONS: dict[str, tuple[str, str]] = {
    "accepted": ("taken by the gateway", "aceita pelo gateway"),
    "transient": ("the gateway was slow or away", "o gateway estava lento ou fora do ar"),
    "configuration": (
        "a wrong setting, credential or template; the gateway was paused",
        "configuração, credencial ou modelo errado; o gateway foi pausado",
    ),
    "not_tried": ("no call was made; it goes again", "nenhuma chamada foi feita; vai de novo"),
    "cancelled": ("cancelled by a person", "cancelada por uma pessoa"),
    "retry": ("sent again by a person", "reenviada por uma pessoa"),
    "release": ("released by a person", "liberada por uma pessoa"),
    "confirmed": ("settled by a person", "resolvida por uma pessoa"),
    "delivery_event": ("the gateway told that it arrived", "o gateway informou que chegou"),
}

#: What gateways tell after they took a message.
DELIVERIES: dict[str, tuple[str, str]] = {
    "sent": ("sent on", "encaminhada"),
    "delivered": ("delivered", "entregue"),
    "read": ("read", "lida"),
    "failed": ("not delivered", "não entregue"),
}

#: How a status looks (the classes of static/rotina.css).
LOOKS = {
    "waiting": "",
    "held": "odd",
    "sending": "busy",
    "sent": "good",
    "failed": "bad",
    "unknown": "odd",
    "cancelled": "",
    "expired": "",
}


def named(code: str | None, names: Mapping[str, tuple[str, str]]) -> str:
    """What a code is called; the code itself where it has no name, nothing for None."""
    if code is None:
        return ""
    english, portuguese = names.get(code, (code, code))
    return portuguese if get_locale() == "pt" else english


def status_name(status: str | None) -> str:
    """What a status is called, with a capital."""
    return words.capitalised(named(status, STATUSES))


def reason_name(reason: str | None) -> str:
    """What a reason is called."""
    return named(reason, REASONS) if reason in REASONS else words.named(reason, "reason")


def delivery_name(status: str | None) -> str:
    """What a delivery status is called."""
    return named(status, DELIVERIES)


def filled(body: str, variables: Sequence[Any]) -> str:
    """The text of a message template with its variables in its places `{{1}}`; others stay as they are."""

    def fill(place: re.Match[str]) -> str:
        index = int(place[1]) - 1
        return str(variables[index]) if 0 <= index < len(variables) else place[0]

    return re.sub(r"\{\{ *([0-9]{1,4}) *\}\}", fill, body)
