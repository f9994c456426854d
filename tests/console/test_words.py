"""Names of codes in both languages, and schedules in words."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from rotina.console import words
from rotina.console.language import set_locale
from rotina.console.message_words import filled
from rotina.models import Run
from rotina.runs.agenda import Day, Entry, load_agenda

SQL = Path(__file__).parents[2] / "include" / "sql"
WEEK = get_args(Day)


@pytest.mark.parametrize("kind", get_args(words.Kind))
def test_a_code_has_a_name_in_both_languages(kind: words.Kind) -> None:
    assert words.ENGLISH[kind].keys() == words.PORTUGUESE[kind].keys()
    assert all(words.ENGLISH[kind].values())


def test_every_program_and_every_status_has_a_name() -> None:
    assert {entry.routine for entry in load_agenda().programs} == words.ENGLISH["routine"].keys()
    for column, kind in (("status", "status"), ("summary_status", "summary")):
        (check,) = [
            str(one.sqltext)
            for one in Run.__table__.constraints
            if f"{column} in" in str(getattr(one, "sqltext", "")) and str(one.sqltext).startswith(column)
        ]
        assert set(re.findall(r"'(\w+)'", check)) == words.ENGLISH[kind].keys()  # type: ignore[index]
    assert words.STATES.keys() == words.ENGLISH["status"].keys()


def test_a_code_without_a_name_is_shown_as_it_is() -> None:
    assert words.named("brand_new", "reason") == "brand_new"
    assert words.named(None, "reason") == ""


def entry(**changed: Any) -> Entry:
    given = {
        "program": "x",
        "routine": "x",
        "days": WEEK,
        "hours": (dt.time(4),),
        "timezone": "America/Sao_Paulo",
        "holidays": "run",
        "active": True,
    }
    return Entry.model_construct(**{**given, "every_minutes": None, **changed})


@pytest.mark.parametrize(
    ("given", "english", "portuguese"),
    [
        (entry(), "Every day at 04:00", "Todos os dias às 04:00"),
        (
            entry(days=WEEK[:5], hours=(dt.time(8), dt.time(14))),
            "Monday to Friday at 08:00 and 14:00",
            "De segunda-feira a sexta-feira às 08:00 e 14:00",
        ),
        (entry(days=("friday",)), "Friday at 04:00", "Sexta-feira às 04:00"),
        (
            entry(days=("monday", "thursday")),
            "Monday and Thursday at 04:00",
            "Segunda-feira e quinta-feira às 04:00",
        ),
        (
            entry(days=("sunday", "monday", "wednesday")),
            "Monday, Wednesday and Sunday at 04:00",
            "Segunda-feira, quarta-feira e domingo às 04:00",
        ),
        (
            entry(hours=None, every_minutes=5),
            "Every day, every 5 minutes",
            "Todos os dias, a cada 5 minutos",
        ),
        (entry(hours=None, every_minutes=60), "Every day, every hour", "Todos os dias, a cada hora"),
    ],
)
def test_a_schedule_is_told_in_words(given: Entry, english: str, portuguese: str) -> None:
    set_locale("en")
    assert words.schedule(given) == english
    set_locale("pt")
    assert words.schedule(given) == portuguese


def test_every_schedule_of_the_agenda_can_be_told() -> None:
    for locale in ("en", "pt"):
        set_locale(locale)
        assert all(words.schedule(one) for one in load_agenda().programs)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("Olá {{1}}, são R$ {{ 2 }}.", "Olá Ana, são R$ 129,90."),
        ("{{2}} {{2}} {{1}}", "129,90 129,90 Ana"),
        ("{{0}} {{3}} {{x}} {1}", "{{0}} {{3}} {{x}} {1}"),
    ],
)
def test_a_message_is_told_with_its_variables_in_their_places(body: str, expected: str) -> None:
    assert filled(body, ["Ana", "129,90"]) == expected
