"""Integrations: which other systems are in use, and what is set of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from rotina.errors import SettingError
from rotina.messaging.gateways import changes, check_range, record_audit
from rotina.sql import statement

#: Where the status of accounts may come from; exactly one of them is in use.
STATUS_SOURCES = ("erp", "health_plan")

#: What an integration is called until somebody calls it otherwise.
_NAMES = {"erp": "ERP", "health_plan": "Gestão de planos de saúde"}

#: The settings that each integration must have: whole numbers, the least and the most.
_RANGES: dict[str, dict[str, tuple[int, int]]] = {"erp": {"months_inactive": (1, 120)}, "health_plan": {}}


@dataclass(frozen=True)
class Integration:
    """An integration as stored (crm.integration has the meaning of each field)."""

    code: str
    name: str
    active: bool
    settings: dict[str, Any]


def load_status_source(connection: psycopg.Connection) -> Integration:
    """The integration that the status of accounts comes from, checked: anybody may write into a table.

    Raises:
        SettingError: not exactly one of `STATUS_SOURCES` is active, or its settings are wrong.
    """
    source = _status_source(_load(connection))
    check_integration_settings(source.code, source.settings)
    return source


def save_integration_settings(
    connection: psycopg.Connection,
    code: str,
    settings: Mapping[str, Any],
    active: bool,
    login: str,
    *,
    instead_of: str | None = None,
) -> None:
    """Insert an integration or change the one of that code, but for its name; audited.

    Args:
        connection: of the task role.
        code: of the integration.
        settings: all that is set of it: `months_inactive` of erp, nothing of health_plan.
        active: whether it is in use.
        login: who decided it.
        instead_of: code of another integration, which is switched off in the same step.

    Raises:
        SettingError: there is no such integration, a setting is missing, wrong or unknown, or not exactly one
            of `STATUS_SOURCES` would be active. Nothing was changed.
    """
    check_integration_settings(code, settings)
    with connection.transaction():
        connection.execute(statement("integrations/lock_integrations"))
        before = _load(connection)
        name = before[code].name if code in before else _NAMES[code]
        after = {**before, code: Integration(code, name, active, dict(settings))}
        if instead_of is not None:
            if instead_of == code or instead_of not in before or instead_of not in STATUS_SOURCES:
                others = ", ".join(one for one in STATUS_SOURCES if one != code)
                raise SettingError(
                    "instead_of", instead_of, f"must be another source of the status: {others}"
                )
            after[instead_of] = replace(before[instead_of], active=False)
        _status_source(after)
        for saved in (after[one] for one in (code, instead_of) if one is not None):
            old = before.get(saved.code)
            connection.execute(
                statement("integrations/save_integration"),
                {**asdict(saved), "settings": Jsonb(saved.settings)},
            )
            record_audit(
                connection,
                login,
                "save_integration",
                {"integration": saved.code},
                changes(asdict(old) if old else None, asdict(saved)),
            )


def check_integration_settings(code: str, settings: object) -> None:
    """Refuse settings that an integration cannot work with.

    Raises:
        SettingError: there is no such integration, or names the first setting that is wrong.
    """
    if code not in _RANGES:
        raise SettingError("integration", code, f"must be one of {', '.join(_RANGES)}")
    if not isinstance(settings, Mapping):
        raise SettingError(f"integration {code}, settings", settings, "must be names with their values")
    for name, value in settings.items():
        if name not in _RANGES[code]:
            raise SettingError(f"integration {code}, {name}", value, "there is no such setting")
    for name, (least, most) in _RANGES[code].items():
        field = f"integration {code}, {name}"
        if name not in settings:
            raise SettingError(field, None, f"is missing; set it, from {least} to {most}")
        check_range(field, settings[name], least, most)


def _status_source(integrations: Mapping[str, Integration]) -> Integration:
    active = [found for code in STATUS_SOURCES if (found := integrations.get(code)) and found.active]
    if len(active) != 1:
        raise SettingError(
            f"integrations {' and '.join(STATUS_SOURCES)}, active",
            "both" if active else "neither",
            "the status of accounts comes from exactly one of them; "
            + ("switch one off" if active else "switch one on"),
        )
    return active[0]


def _load(connection: psycopg.Connection) -> dict[str, Integration]:
    with connection.cursor(row_factory=class_row(Integration)) as cursor:
        rows = cursor.execute(statement("integrations/list_integrations")).fetchall()
    return {row.code: row for row in rows}
