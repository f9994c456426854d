"""Frames: the HTML around what differs between e-mails is stored once, and each payload names it.

A layout has seven kilobytes, a greeting some hundred bytes. A frame never changes: an e-mail that waits goes
out as it was written, whatever becomes of the layout.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import psycopg
from markupsafe import Markup, escape
from psycopg.rows import scalar_row

from rotina.sql import statement

#: Where a frame has what differs, each between blanks in double braces.
PLACES = ("preheader", "content", "unsubscribe_url")

_MARK = re.compile(r"\{\{ (" + "|".join(PLACES) + r") \}\}")


def mark(place: str) -> Markup:
    """What stands in a frame for one of `PLACES`."""
    return Markup("{{{{ {} }}}}").format(place)


class Frame:
    """The HTML that e-mails have in common, with a mark where each of `PLACES` is.

    Attributes:
        html: as it is stored.
    """

    def __init__(self, html: str) -> None:
        self.html = html
        self._pieces = _MARK.split(html)  # text, place, text, place, …, text

    def filled(self, parts: Mapping[str, str]) -> str:
        """The whole HTML of an e-mail. What looks like a mark within `parts` stays as it is."""
        pieces = self._pieces.copy()
        pieces[1::2] = [parts.get(place, "") for place in pieces[1::2]]
        return "".join(pieces)


def save_frame(connection: psycopg.Connection, frame: Frame) -> int:
    """Store a frame, unless it is there; returns its key.

    Raises:
        psycopg.errors.SerializationFailure: under REPEATABLE READ only: another transaction stored it
            after this one began.
    """
    values = {"sha256": hashlib.sha256(frame.html.encode()).hexdigest(), "html": frame.html}
    with connection.cursor(row_factory=scalar_row) as cursor:
        found: int | None = cursor.execute(statement("email_frames/find_frame"), values).fetchone()
        if found is None:
            found = cursor.execute(statement("email_frames/add_frame"), values).fetchone()
    assert found is not None
    return found


def frame_of(payload: Mapping[str, Any]) -> int | None:
    """The key of the frame that the HTML of a payload is for; None when it has its HTML whole, or none."""
    html = payload.get("html")
    key = html.get("frame") if isinstance(html, dict) else None
    return key if isinstance(key, int) else None


def with_frame(payload: Mapping[str, Any], frame: Frame) -> dict[str, Any]:
    """A payload with its HTML whole: the frame, filled with what the payload has for it."""
    parts = {**payload["html"], "unsubscribe_url": escape(payload.get("unsubscribe_url") or "")}
    return {**payload, "html": frame.filled(parts)}
