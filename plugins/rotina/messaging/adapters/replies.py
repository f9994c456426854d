"""What the adapters share in reading replies: waiting times, and texts without personal data."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

#: Of what a gateway says, as many characters are read: to look through more would take its time.
LONGEST_READ = 2_000
_LONGEST_TEXT = 300
_MASK = "***"
#: E-mail addresses, and eight digits or more, also as a phone number is written for people.
_PERSONAL = re.compile(r"[^\s<>\"'(),:;]+@[^\s<>\"'(),:;]+|\+?\(?\d(?:[ ().\-]{0,2}\d){7,}")
#: Shorter values would mask every other word, and tell nobody anything.
_SHORTEST_PRIVATE = 3


def shown(text: str, private: Iterable[str] = ()) -> str:
    """A text of a gateway as it may be stored and logged: one line, masked, at most 300 characters.

    Args:
        text: what the gateway said.
        private: what must not be in it (the token, the recipient, variables); e-mail addresses and runs of
            eight digits or more are masked anyway.
    """
    text = " ".join(text[:LONGEST_READ].split())
    hidden = {" ".join(value.split()) for value in private}
    for value in sorted(hidden, key=len, reverse=True):
        if len(value) >= _SHORTEST_PRIVATE:
            text = re.sub(re.escape(value), _MASK, text, flags=re.IGNORECASE)
    text = _PERSONAL.sub(_MASK, text)
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds from now until the moment a Retry-After header names (RFC 9110, 10.2.3), never negative.

    None when there is no header, or none that can be read.
    """
    if value is None:
        return None
    value = value.strip()
    if re.fullmatch(r"[0-9]{1,9}", value):
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
