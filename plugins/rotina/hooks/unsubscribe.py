"""The settings of unsubscribe links, from the Airflow connection `unsubscribe`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from airflow.sdk import BaseHook
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowNotFoundException

from rotina.errors import SettingError
from rotina.messaging.unsubscribe import unsubscribe_url

T = TypeVar("T")

CONNECTION_ID = "unsubscribe"


@dataclass(frozen=True)
class UnsubscribeSettings:
    """What `rotina.messaging.unsubscribe.unsubscribe_url` takes."""

    base_url: str
    """Address of Airflow's web interface as recipients reach it."""
    keys: tuple[str, ...] = field(repr=False)
    """Fernet keys, the newest first."""


def load_unsubscribe_settings() -> UnsubscribeSettings:
    """The keys are the connection's password, separated by commas as in Airflow's own [core] fernet_key.

    `base_url` is the one of the connection's extra, by default [api] base_url of Airflow.

    Raises:
        SettingError: the connection is missing or has no password.
    """
    try:
        connection = BaseHook.get_connection(CONNECTION_ID)
    except AirflowNotFoundException:
        raise SettingError("connection", CONNECTION_ID, "not defined, or not readable") from None
    keys = tuple(key.strip() for key in (connection.password or "").split(",") if key.strip())
    if not keys:
        raise SettingError(f"connection {CONNECTION_ID}, password", None, "is blank; give a Fernet key")
    base_url = connection.extra_dejson.get("base_url") or conf.get("api", "base_url", fallback="")
    return UnsubscribeSettings(base_url, keys)


def open_links() -> Callable[[str], str]:
    """What makes the unsubscribe link of an address.

    Raises:
        SettingError: as `load_unsubscribe_settings`.
    """
    settings = load_unsubscribe_settings()
    return partial(unsubscribe_url, settings.base_url, settings.keys)


def with_links(function: Callable[..., T]) -> Callable[..., T]:
    """The function of a routine that writes e-mails, given `open_links` from here."""
    return partial(function, open_links=open_links)
