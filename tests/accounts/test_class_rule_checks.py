"""Rules that can never move an account and loops, against every account there can be in a small world."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotina.accounts import class_rule_checks
from rotina.accounts.audiences import Audience
from rotina.accounts.class_rule_checks import Rule, check_alone, find_problems
from rotina.accounts.filters import Condition, Filter, Group, parse_filter
from tests.examples import examples

CLASSES = {"Bronze": 1, "Ouro": 2, "Prata": 3}

_numbers = itertools.count(1)


def value(op: str, amount: str) -> dict[str, Any]:
    return {"field": "accumulated_value", "op": op, "value": amount}


def rule(name: str, source: str | None, target: str, conditions: Any, audience: Any = None) -> Rule:
    return Rule(
        id=next(_numbers),
        name=name,
        source=source,
        source_id=CLASSES[source] if source else None,
        target=target,
        target_id=CLASSES[target],
        conditions=conditions if isinstance(conditions, Filter) else parse_filter(conditions),
        audience=audience,
    )


def problems(*rules: Rule) -> list[str]:
    return [str(problem) for problem in find_problems(rules)]


def test_thresholds_that_meet_are_no_loop() -> None:
    up = rule("up", "Bronze", "Prata", value(">=", "1000.00"))
    assert problems(up, rule("down", "Prata", "Bronze", value("<", "1000.00"))) == []
    (loop,) = problems(up, rule("down", "Prata", "Bronze", value("<=", "1000.00")))
    assert "Bronze → Prata (rule 'up') → Bronze (rule 'down')" in loop


def test_a_longer_loop_is_named_with_its_path() -> None:
    (loop,) = problems(
        rule("a", "Prata", "Bronze", value("<", "5000.00")),
        rule("b", "Bronze", "Ouro", value(">=", "1000.00")),
        rule("c", "Ouro", "Prata", value("between", ["4000.00", "6000.00"])),  # type: ignore[arg-type]
    )
    assert "Bronze → Ouro (rule 'b') → Prata (rule 'c') → Bronze (rule 'a')" in loop


def test_rules_from_any_class_that_fall_through_thresholds_are_fine() -> None:
    """The first that holds keeps an account in its class, so the next one does not take it down."""
    assert (
        problems(
            rule("gold", None, "Ouro", value(">=", "10000.00")),
            rule("silver", None, "Prata", value(">=", "1000.00")),
            rule("bronze", None, "Bronze", value(">=", "0.01")),
        )
        == []
    )
    (hidden,) = problems(
        rule("silver", None, "Prata", value(">=", "1000.00")),
        rule("gold", None, "Ouro", value(">=", "10000.00")),
    )
    assert "'gold': can never match: rule 'silver' comes before it" in hidden


def test_a_rule_hidden_by_two_together_names_both() -> None:
    (hidden,) = problems(
        rule("much", None, "Ouro", value(">=", "50.00")),
        rule("little", None, "Prata", value("<", "60.00")),
        rule("last", "Prata", "Bronze", value("!=", "7.00")),
    )
    assert "'much' or 'little'" in hidden


def test_a_class_among_the_conditions_counts_as_a_source() -> None:
    newcomer = Condition("class", "is_empty")
    assert problems(rule("entry", None, "Bronze", newcomer)) == []
    (never,) = problems(rule("entry", "Prata", "Bronze", newcomer))
    assert "can never move an account of class 'Prata'" in never
    (never,) = problems(rule("stay", None, "Bronze", Condition("class", "=", "Bronze")))
    assert "can never move an account outside of class 'Bronze'" in never
    both = Condition("class", "in", ("Bronze", "Prata"))
    (loop,) = problems(rule("up", None, "Ouro", both), rule("down", "Ouro", "Prata", value(">", "1.00")))
    assert "Ouro → Prata (rule 'down') → Ouro (rule 'up')" in loop


def test_audiences() -> None:
    a, b = Audience(1, "A", None), Audience(2, "B", None)
    rich = Audience(3, "rich", parse_filter(value(">=", "500.00")))
    much, some = value(">=", "1000.00"), value(">=", "100.00")
    # On the same list, or on none, the first hides the second; what is on another list is another matter.
    for first, second, hidden in ((a, a, True), (a, b, False), (a, None, False), (None, a, True)):
        found = problems(rule("1", None, "Ouro", some, first), rule("2", None, "Prata", much, second))
        assert bool(found) == hidden, (first, second)
    assert len(problems(rule("1", None, "Ouro", some, rich), rule("2", None, "Prata", much))) == 1
    (never,) = problems(rule("1", None, "Ouro", value("<", "500.00"), rich))
    assert "no account meets all of it: valor acumulado < R$ 500,00 e valor acumulado >= " in never.replace(
        "≥", ">="
    )
    # An account may be on both lists, so this goes round.
    assert len(problems(rule("1", "Ouro", "Prata", some, a), rule("2", "Prata", "Ouro", some, b))) == 1


def test_very_entangled_rules_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(class_rule_checks, "MOST_STEPS", 2)
    rules = [
        rule(f"{one}{other}", one, other, Condition("purchase_count", "=", number))
        for number, (one, other) in enumerate(itertools.permutations(CLASSES, 2))
    ]
    assert problems(*rules) == ["class rules: are too entangled to look for loops"]


# -- any rules ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Account:
    """Somebody in the small world: the values that the rules below may ask for."""

    purchase_count: int
    days: int | None
    lists: frozenset[int]


LISTS = (Audience(1, "A", None), Audience(2, "B", None))
ACCOUNTS = [
    Account(count, days, frozenset(lists))
    for count in range(5)
    for days in (None, 0, 1, 2, 3)
    for lists in ((), (1,), (2,), (1, 2))
]

conditions = st.recursive(
    st.one_of(
        st.builds(
            Condition,
            st.sampled_from(["purchase_count", "days_since_last_purchase"]),
            st.sampled_from(["=", "!=", ">", ">=", "<", "<="]),
            st.integers(1, 2),
        ),
        st.builds(
            Condition, st.just("class"), st.sampled_from(["=", "!="]), st.sampled_from(sorted(CLASSES))
        ),
        st.just(Condition("class", "is_empty")),
        st.just(Condition("days_since_last_purchase", "is_empty")),
    ),
    lambda parts: st.builds(
        Group, st.sampled_from(["all", "any"]), st.lists(parts, min_size=1, max_size=2).map(tuple)
    ),
    max_leaves=3,
)
any_rules = st.lists(
    st.builds(
        rule,
        st.integers(1, 10**9).map(str),
        st.sampled_from([None, *CLASSES]),
        st.sampled_from(sorted(CLASSES)),
        conditions,
        st.sampled_from([None, None, *LISTS]),
    ).filter(lambda one: one.source != one.target and not list(check_alone(one))),
    min_size=2,
    max_size=6,
    unique_by=lambda one: one.name,
)


def meets(account: Account, class_name: str | None, part: Filter) -> bool:
    if isinstance(part, Group):
        answers = [meets(account, class_name, one) for one in part.members]
        return all(answers) if part.kind == "all" else any(answers)
    assert isinstance(part, Condition)
    held: Any = {
        "purchase_count": account.purchase_count,
        "days_since_last_purchase": account.days,
        "class": class_name,
    }[part.field]
    wanted: Any = part.value
    match part.op:
        case "is_empty":
            return held is None
        case "!=":
            return bool(held != wanted)
        case _ if held is None:
            return False
        case "=":
            return bool(held == wanted)
        case ">":
            return bool(held > wanted)
        case ">=":
            return bool(held >= wanted)
        case "<":
            return bool(held < wanted)
        case _:
            return bool(held <= wanted)


def decides(rules: Sequence[Rule], account: Account, class_name: str | None) -> Rule | None:
    """The first rule that holds for an account."""
    for one in rules:
        on_list = one.audience is None or one.audience.id in account.lists
        if one.source in (None, class_name) and on_list and meets(account, class_name, one.conditions):
            return one
    return None


def loop_from(rules: Sequence[Rule], account: Account, start: str) -> frozenset[str] | None:
    """The rules that lead an account from a class back to it."""
    class_name, used = start, []
    for _ in CLASSES:
        one = decides(rules, account, class_name)
        if one is None or one.target == class_name:
            return None
        used.append(one.name)
        class_name = one.target
        if class_name == start:
            return frozenset(used)
    return None


def moving(rules: Sequence[Rule]) -> Iterator[str]:
    for account in ACCOUNTS:
        for class_name in (None, *CLASSES, "one that no rule knows"):
            one = decides(rules, account, class_name)
            if one and one.target != class_name:
                yield one.name


@settings(max_examples=examples(150))
@given(any_rules)
def test_exactly_what_happens_to_some_account_is_found(rules: list[Rule]) -> None:
    found = find_problems(rules)
    loops = {loop_from(rules, account, start) for account in ACCOUNTS for start in CLASSES} - {None}
    assert {problem.rules for problem in found if problem.error.field == "class rules"} == loops
    hidden = {str(problem.error.value) for problem in found if problem.error.field == "class rule"}
    assert hidden == {one.name for one in rules} - set(moving(rules))
