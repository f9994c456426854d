"""Errors that name what is wrong, so that whoever reads a log or a summary knows what to mend."""

from __future__ import annotations


class RotinaError(Exception):
    """Base of the errors that Rotina raises on purpose."""


class SettingError(RotinaError):
    """A wrong setting or parameter, found before anything was changed. Trying again will not help.

    Attributes:
        field: the setting or parameter that is wrong.
        value: what it holds, masked by the caller when it is personal.
        problem: what is wrong with it and what to do.
    """

    def __init__(self, field: str, value: object, problem: str) -> None:
        super().__init__(f"{field} = {value!r}: {problem}" if value is not None else f"{field}: {problem}")
        self.field = field
        self.value = value
        self.problem = problem


class NothingToDoError(RotinaError):
    """There is nothing to do for the business date of a run, which is no failure; people read the message."""


class SourceEmptyError(RotinaError):
    """Tables of the ERP have no rows, and what follows from that would be written down for every account.

    A load is under way, or it failed; trying again may help.

    Attributes:
        tables: their names.
    """

    def __init__(self, tables: str) -> None:
        super().__init__(
            f"{tables}: there are no rows, although accounts live by them: a load is under way or failed. "
            "Nothing was changed; run it again when the load is over"
        )
        self.tables = tables


class RunBusyError(RotinaError):
    """Another run of the same routine is still at work."""


class NotSentError(RotinaError):
    """Provably nothing was delivered to the other side: trying again is safe."""


class MaybeSentError(RotinaError):
    """The other side may have taken it, and its answer was lost: never send it again blindly."""
