"""What a delivery to the partner takes, and what may go wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rotina.errors import RotinaError


class DeliveryError(RotinaError):
    """The batch is not at the partner as a whole; nothing incomplete stands there under a final name.

    Delivering again is always safe.

    Attributes:
        try_again: whether it is useful too, without anybody mending something first.
    """

    def __init__(self, message: str, *, try_again: bool) -> None:
        super().__init__(message)
        self.try_again = try_again


@dataclass(frozen=True)
class Outgoing:
    """A file of a batch, as it was made."""

    name: str
    """At the partner."""
    path: Path
    """In the spool."""
    bytes: int
    sha256: str
    """Hexadecimal."""


class Target(Protocol):
    """Where batches go."""

    def deliver(self, files: Sequence[Outgoing], manifest: Outgoing) -> None:
        """Bring a batch to the partner, the manifest last; it replaces an earlier one of the same names.

        Raises:
            DeliveryError: it is not there as a whole.
        """

    def verify(self, files: Sequence[Outgoing], manifest: Outgoing) -> None:
        """Read a delivered batch again at the partner and compare.

        Raises:
            DeliveryError: something is missing or differs, or it could not be read.
        """
