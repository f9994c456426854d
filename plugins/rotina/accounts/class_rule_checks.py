"""What is wrong with a set of class rules: rules that can never move an account, and loops between rules.

The rules of one account are tried in their order (priority, then id). The first whose source is the account's
class, or any, and whose conditions hold decides: the account moves to its target, or stays where it is there
already. Two things follow. A rule before another one hides it where it holds whenever the other does. And
rules make a loop when the values of one account lead it from class to class and back, day after day.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rotina.accounts.audiences import Audience
from rotina.accounts.filters import Condition, Filter, Group, can_hold, describe, implies
from rotina.errors import SettingError

#: Steps of the search for loops, at most; rules of any real company need a few hundred.
MOST_STEPS = 20_000


@dataclass(frozen=True)
class Rule:
    """A class rule as stored, read."""

    id: int
    name: str
    #: None: accounts of any class, or of none.
    source: str | None
    source_id: int | None
    target: str
    target_id: int
    conditions: Filter
    audience: Audience | None

    @property
    def guards(self) -> tuple[Filter, ...]:
        """What an account of the source class must meet, but for being on a list."""
        if self.audience is None or self.audience.filter is None:
            return (self.conditions,)
        return (self.conditions, self.audience.filter)

    @property
    def list_id(self) -> int | None:
        """The audience of the rule where that is a list; None where its accounts need be on none."""
        return self.audience.id if self.audience and self.audience.filter is None else None

    def meets(self, other: Rule) -> bool:
        """Whether there are classes whose accounts are asked both rules."""
        return None in (self.source, other.source) or self.source == other.source

    def spares(self, other: Rule) -> bool:
        """Whether `other` takes accounts that this rule leaves alone because they are not on its list."""
        return self.list_id not in (None, other.list_id)


@dataclass(frozen=True)
class Problem:
    """What is wrong, and the names of the rules that it comes from; none where it is all of them."""

    rules: frozenset[str]
    error: SettingError

    def __str__(self) -> str:
        return str(self.error)


def find_problems(rules: Sequence[Rule]) -> list[Problem]:
    """What is wrong with rules, given in the order in which they are tried."""
    problems = [problem for rule in rules for problem in check_alone(rule)]
    faulty = {name for problem in problems for name in problem.rules}
    sound = [rule for rule in rules if rule.name not in faulty]
    hidden = list(_hidden_rules(sound))
    return [*problems, *hidden, *_loops(sound)]


def check_alone(rule: Rule) -> Iterator[Problem]:
    """What is wrong with a rule whatever the others are."""
    if not can_hold(*rule.guards):
        yield _problem(
            f"can never match: no account meets all of it: {describe(Group('all', rule.guards))}", rule
        )
    elif not can_hold(*_who_moves(rule)):
        where = f"of class {rule.source!r}" if rule.source else f"outside of class {rule.target!r}"
        yield _problem(f"can never move an account {where}: {describe(rule.conditions)}", rule)


def _hidden_rules(rules: Sequence[Rule]) -> Iterator[Problem]:
    for number, rule in enumerate(rules):
        moving = Group("all", _who_moves(rule))
        # Two different lists may have the same accounts today and others tomorrow.
        before = [one for one in rules[:number] if one.meets(rule) and not one.spares(rule)]
        matches = {one: Group("all", _who_matches(one)) for one in before}
        if _is_covered(moving, matches.values()):
            alone = [one for one, match in matches.items() if implies(moving, match)][:1]
            hiding = alone or [one for one, match in matches.items() if can_hold(moving, match)]
            names = " or ".join(repr(one.name) for one in hiding)
            yield _problem(f"can never match: rule {names} comes before it whenever it holds", rule, *hiding)


def _is_covered(one: Filter, others: Iterable[Filter]) -> bool:
    """Whether every account that meets `one` meets one of `others`."""
    # Those that have no account in common only make the question larger.
    return implies(one, Group("any", tuple(other for other in others if can_hold(one, other))))


def _who_matches(rule: Rule) -> tuple[Filter, ...]:
    return (*rule.guards, _is_class(rule.source)) if rule.source else rule.guards


def _who_moves(rule: Rule) -> tuple[Filter, ...]:
    """The accounts that a rule moves, if no other comes before it."""
    return (*rule.guards, _is_class(rule.source) if rule.source else Condition("class", "!=", rule.target))


def _is_class(name: str | None) -> Condition:
    return Condition("class", "is_empty") if name is None else Condition("class", "=", name)


def _problem(text: str, *rules: Rule) -> Problem:
    return Problem(frozenset(rule.name for rule in rules), SettingError("class rule", rules[0].name, text))


# -- loops --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Move:
    """What a rule does with the accounts of one class."""

    rule: Rule
    #: What is asked for besides the class.
    guards: Group
    #: What is tried before it in that class, and holds for some of its accounts.
    before: tuple[_Move, ...]


def _loops(rules: Sequence[Rule]) -> Iterator[Problem]:
    """Each path of moves that leads accounts of some values from a class back to it.

    A path is followed as long as some account may take all of it, and one of the moves that would close it.
    """
    moves = {name: _moves_of(name, rules) for name in sorted({rule.target for rule in rules})}
    # A loop is found from the first of its classes by name.
    closing = {
        name: [one for later in moves if later > name for one in moves[later] if one.rule.target == name]
        for name in moves
    }
    steps = 0

    def follow(start: str, path: tuple[_Move, ...]) -> Iterator[tuple[_Move, ...]]:
        nonlocal steps
        visited = {start, *(move.rule.target for move in path)}
        for move in moves[path[-1].rule.target if path else start]:
            target = move.rule.target
            if target < start or (target != start and target in visited):
                continue
            steps += 1
            if steps > MOST_STEPS:
                return
            longer = (*path, move)
            taken = [one.guards for one in longer]
            if not any(can_hold(*taken, last.guards) for last in closing[start]) or not _is_open(longer):
                continue
            yield from [longer] if target == start else follow(start, longer)

    for start in moves:
        for loop in follow(start, ()):
            way = "".join(f" → {move.rule.target} (rule {move.rule.name!r})" for move in loop)
            yield Problem(
                frozenset(move.rule.name for move in loop),
                SettingError(
                    "class rules",
                    ", ".join(move.rule.name for move in loop),
                    f"make a loop for accounts that meet the conditions of all of them: {start}{way}",
                ),
            )
    if steps > MOST_STEPS:
        yield Problem(frozenset(), SettingError("class rules", None, "are too entangled to look for loops"))


def _moves_of(name: str, rules: Sequence[Rule]) -> list[_Move]:
    """What the rules do with the accounts of a class, in the order in which they are tried."""
    tried: list[_Move] = []
    for rule in rules:
        if rule.source not in (None, name):
            continue
        guards = [within(guard, name) for guard in rule.guards]
        if False not in guards:
            asked = Group("all", tuple(guard for guard in guards if isinstance(guard, Filter)))
            before = tuple(other for other in tried if can_hold(asked, other.guards))
            tried.append(_Move(rule, asked, before))
    return [move for move in tried if move.rule.target != name]


def within(filter: Filter, name: str | None) -> Filter | bool:
    """What a filter asks of the accounts of a class, or of none, besides their class.

    Returns:
        True for a filter that all of them meet, False for one that none does.
    """
    if isinstance(filter, Condition):
        return can_hold(filter, _is_class(name)) if filter.field == "class" else filter
    assert isinstance(filter, Group)  # there is no third
    decisive = filter.kind == "any"  # what one member decides for all
    left = [within(member, name) for member in filter.members]
    if decisive in left:
        return decisive
    members = tuple(member for member in left if isinstance(member, Filter))
    return Group(filter.kind, members) if members else not decisive


def _is_open(path: Sequence[_Move]) -> bool:
    """Whether one account may take all moves of a path: it meets their guards, nothing is tried before."""
    lists = {None, *(move.rule.list_id for move in path)}
    before = (other.guards for move in path for other in move.before if other.rule.list_id in lists)
    return not _is_covered(Group("all", tuple(move.guards for move in path)), before)
