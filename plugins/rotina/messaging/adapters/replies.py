"""What the adapters share in reading replies: waiting times, numbers, ids, and texts without personal data.

Whatever comes out of here PostgreSQL can store.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

#: Of what a gateway says, as many characters are read: to look through more would take its time.
LONGEST_READ = 2_000
_LONGEST_TEXT = 300
_LONGEST_ID = 200
_LONGEST_WAIT_SECONDS = 86_400.0
#: Control characters that are no white space.
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]")
#: What no key of a message has: line breaks, control characters, halves of characters.
_NOT_IN_ID = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_MASK = "***"
#: E-mail addresses, and eight digits or more, also as a phone number is written for people.
_PERSONAL = re.compile(r"[^\s<>\"'(),:;]+@[^\s<>\"'(),:;]+|\+?\(?\d(?:[ ().\-]{0,2}\d){7,}")
#: Shorter values would mask every other word, and tell nobody anything.
_SHORTEST_PRIVATE = 3


def one_line(text: str) -> str:
    """A text with single spaces, without control characters, and `?` for what UTF-8 cannot hold."""
    # aiosmtplib decodes replies with surrogateescape, and JSON can hold half of a character.
    text = text.encode("utf-8", "replace").decode("utf-8")
    return " ".join(_CONTROL.sub("", text).split())


def shown(text: str, private: Iterable[str] = (), prefix: str = "") -> str:
    """A text of a gateway as it may be stored and logged: one line, masked, at most 300 characters.

    Args:
        text: what the gateway said.
        private: what must not be in it (the token, the recipient, variables); e-mail addresses and runs of
            eight digits or more are masked anyway.
        prefix: our own words before it, which stay as they are.
    """
    text = one_line(text[:LONGEST_READ])
    hidden = {one_line(value) for value in private}
    for value in sorted(hidden, key=len, reverse=True):
        if len(value) >= _SHORTEST_PRIVATE:
            text = re.sub(re.escape(value), _MASK, text, flags=re.IGNORECASE)
    text = prefix + _PERSONAL.sub(_MASK, text)
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"


def clean_id(value: Any) -> str | None:
    """The key that a gateway gave a message, a text or a whole number; None for anything else.

    None also for a text that is no key: blank, over 200 characters, with control characters.
    """
    if type(value) not in (str, int):
        return None
    key = str(value)
    return key if key.strip() and len(key) <= _LONGEST_ID and not _NOT_IN_ID.search(key) else None


def clean_count(value: Any) -> int | None:
    """How many messages a gateway says that may be sent: a whole number from 0 to 2³¹ - 1; else None."""
    return value if type(value) is int and 0 <= value < 2**31 else None


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds from now until the moment a Retry-After header names (RFC 9110, 10.2.3): from 0 to a day.

    None when there is no header, or none that can be read.
    """
    if value is None:
        return None
    value = value.strip()
    if re.fullmatch(r"[0-9]{1,9}", value):
        return min(float(value), _LONGEST_WAIT_SECONDS)
    try:
        moment = parsedate_to_datetime(value)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        seconds = (moment - now).total_seconds()
    except (ValueError, OverflowError):  # no date, or an absurd one
        return None
    return min(max(0.0, seconds), _LONGEST_WAIT_SECONDS)
