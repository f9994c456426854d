"""What can be said of filters without any account: whether one can hold at all, whether one implies another.

Each field by itself is treated exactly. That some go together (no purchase, no date of it) is not known here.
"""

from __future__ import annotations

import datetime as dt
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from rotina.accounts.filters.fields import FIELDS, Field
from rotina.accounts.filters.language import Condition, Filter, Group, Value

#: Ways of meeting a filter that are tried before the answer is left open.
MOST_WAYS = 5_000


def can_hold(*filters: Filter) -> bool:
    """Whether some account may meet all the filters at once.

    False is certain. True is too, as far as the fields do not depend on each other and the filters are not
    so entangled that more than `MOST_WAYS` ways of meeting them would have to be tried.
    """
    return _can_hold([(one, True) for one in filters])


def implies(one: Filter, other: Filter) -> bool:
    """Whether every account that meets `one` meets `other`. True is certain; False as True of `can_hold`."""
    return not _can_hold([(one, True), (other, False)])


def _can_hold(wanted: list[tuple[Filter, bool]]) -> bool:
    """Whether the filters can be met (True) or missed (False) by the fields of one account."""
    # A list of ways yet to be tried, the last one first: of as many groups as a filter may have, calls within
    # calls would go too deep for Python.
    untried = [(wanted, _EVERYTHING)]
    for _ in range(MOST_WAYS):
        if not untried:
            return False
        narrowed = _narrowed(*untried.pop())
        if narrowed is None:
            continue
        choices, allowed = narrowed
        if not choices:
            return True
        (group, holds), *others = sorted(choices, key=lambda choice: len(choice[0].members))
        untried.extend(([(member, holds), *others], allowed) for member in reversed(group.members))
    return bool(untried)


def _narrowed(
    wanted: list[tuple[Filter, bool]], allowed: dict[str, _Allowed]
) -> tuple[list[tuple[Group, bool]], dict[str, _Allowed]] | None:
    """The groups that leave a choice, and what the rest allows of each field; None: the rest cannot hold."""
    allowed = dict(allowed)
    wanted = list(wanted)
    choices: list[tuple[Group, bool]] = []
    while wanted:
        part, holds = wanted.pop()
        if isinstance(part, Condition):
            narrowed = allowed[part.field].narrowed(part, holds)
            if narrowed.is_void():
                return None
            allowed[part.field] = narrowed
        elif isinstance(part, Group):
            # All members are met, or, of a group of alternatives, all are missed: nothing to choose.
            if (part.kind == "all") == holds or len(part.members) == 1:
                wanted.extend((member, holds) for member in part.members)
            else:
                choices.append((part, holds))
    return choices, allowed


# -- what is allowed of a field -----------------------------------------------------------------------------

#: Both ends are included. Ranges that stand together are disjoint and in order.
_Range = tuple[float, float]


@dataclass(frozen=True)
class _Numbers:
    """Whole numbers: money in cents, dates in days."""

    ranges: tuple[_Range, ...]

    def is_void(self) -> bool:
        return not self.ranges

    def narrowed(self, condition: Condition, holds: bool) -> _Numbers:
        ranges = _ranges_of(condition.op, tuple(map(_number, condition.values())))
        return _Numbers(tuple(_common(self.ranges, ranges if holds else _outside(ranges))))


def _ranges_of(op: str, values: tuple[int, ...]) -> list[_Range]:
    """The numbers that a comparison holds for."""
    match op:
        case "=" | "in":
            return [(one, one) for one in sorted(set(values))]
        case "!=":
            return _outside([(values[0], values[0])])
        case "between":
            return [(values[0], values[1])]
        case ">":
            return [(values[0] + 1, math.inf)]
        case ">=":
            return [(values[0], math.inf)]
        case "<":
            return [(-math.inf, values[0] - 1)]
        case _:
            return [(-math.inf, values[0])]


def _outside(ranges: Sequence[_Range]) -> list[_Range]:
    """The numbers between and around ranges."""
    edges = [-math.inf, *itertools.chain.from_iterable((low - 1, high + 1) for low, high in ranges), math.inf]
    between = zip(edges[::2], edges[1::2], strict=True)
    return [(low, high) for low, high in between if low <= high and low < math.inf and high > -math.inf]


def _common(some: Sequence[_Range], others: Sequence[_Range]) -> Iterator[_Range]:
    """The numbers that are in ranges of both."""
    n = m = 0
    while n < len(some) and m < len(others):
        low, high = max(some[n][0], others[m][0]), min(some[n][1], others[m][1])
        if low <= high:
            yield low, high
        if some[n][1] < others[m][1]:
            n += 1
        else:
            m += 1


@dataclass(frozen=True)
class _Texts:
    """Texts: some, or all but some, with parts that they have and others that they have not."""

    #: None: any.
    among: frozenset[str] | None = None
    barred: frozenset[str] = frozenset()
    #: In lower case.
    parts: frozenset[str] = frozenset()
    missing: frozenset[str] = frozenset()

    def is_void(self) -> bool:
        if self.among is not None:
            return not any(map(self._fits, self.among))
        # Parts with something strange between them make a text, unless one of them has what must be missing.
        return any(absent in part for absent in self.missing for part in self.parts)

    def narrowed(self, condition: Condition, holds: bool) -> _Texts:
        found = frozenset(map(str, condition.values()))
        if condition.op == "contains":
            found = frozenset(one.lower() for one in found)
            if holds:
                return replace(self, parts=self.parts | found)
            return replace(self, missing=self.missing | found)
        if (condition.op == "!=") == holds:
            return replace(self, barred=self.barred | found)
        return replace(self, among=found if self.among is None else self.among & found)

    def _fits(self, text: str) -> bool:
        folded = text.lower()
        return (
            text not in self.barred
            and all(part in folded for part in self.parts)
            and not any(part in folded for part in self.missing)
        )


@dataclass(frozen=True)
class _Allowed:
    """What a field may still be."""

    values: _Numbers | _Texts
    #: Whether it may be empty, and whether it may be anything else.
    empty: bool
    filled: bool = True

    def is_void(self) -> bool:
        return not self.empty and (not self.filled or self.values.is_void())

    def narrowed(self, condition: Condition, holds: bool) -> _Allowed:
        op = condition.op
        if op in ("is_empty", "is_not_empty"):
            if (op == "is_empty") == holds:
                return replace(self, filled=False)
            return replace(self, empty=False)
        # What is empty meets != and misses all else.
        empty = self.empty and (op == "!=") == holds
        return replace(self, values=self.values.narrowed(condition, holds), empty=empty)


def _everything(known: Field) -> _Allowed:
    values: _Numbers | _Texts
    match known.type:
        case "text":
            values = _Texts()
        case "choice":
            values = _Texts(frozenset(known.choices))
        case "boolean":
            values = _Numbers(((0, 1),))
        case _:
            values = _Numbers(((-math.inf if known.least is None else known.least, math.inf),))
    return _Allowed(values, empty=known.may_be_empty)


_EVERYTHING = {name: _everything(known) for name, known in FIELDS.items()}


def _number(value: Value) -> int:
    if isinstance(value, dt.date):
        return value.toordinal()
    return int(value * 100) if isinstance(value, Decimal) else int(value)
