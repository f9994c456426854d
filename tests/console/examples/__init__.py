"""What the generated tests need to know of each screen, one module each: see `Example`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
from fastapi.testclient import TestClient


def _nothing(_owner: psycopg.Connection, _airflow: TestClient) -> None:
    pass


@dataclass(frozen=True)
class Example:
    """A request that changes something, and does so.

    Every declared route that is not GET needs one in EXAMPLES of its screen's module: that it asks for its
    right, refuses other sites and writes an audit entry is tested with it.
    """

    method: str
    path: str
    """As declared: `/routines/{routine}/requests`."""
    parameters: dict[str, str] = field(default_factory=dict)
    """Of the path."""
    query: dict[str, str] = field(default_factory=dict)
    json: dict[str, Any] | None = None
    form: dict[str, Any] | None = None
    prepare: Callable[[psycopg.Connection, TestClient], None] = _nothing
    """Makes what it needs: as the owner of the database, and in Airflow as an administrator of it."""
    action: str | None = None
    """What the audit entry calls it; None: the request only looks, as a preview does, and writes none."""

    @property
    def url(self) -> str:
        """Its address."""
        return f"/rotina{self.path.format(**self.parameters)}"


def examples() -> Iterator[Example]:
    """The examples of all screens."""
    for module in _modules():
        yield from getattr(module, "EXAMPLES", [])


def parameters() -> dict[str, str]:
    """A value of each parameter of a path, as `{routine}`; 1 where no module gives one."""
    found: dict[str, str] = {}
    for module in _modules():
        found.update(getattr(module, "PARAMETERS", {}))
    return found


def queries() -> dict[str, str]:
    """The query that a GET route needs to show something, by its declared path."""
    found: dict[str, str] = {}
    for module in _modules():
        found.update(getattr(module, "QUERIES", {}))
    return found


def _modules() -> list[Any]:
    return [importlib.import_module(f"{__name__}.{one.name}") for one in pkgutil.iter_modules(__path__)]
