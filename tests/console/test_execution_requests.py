"""Execution requests: what is refused before Airflow is asked, and how a param becomes a field."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from rotina.console import execution_requests as requests
from rotina.console.language import set_locale
from rotina.errors import SettingError
from rotina.runs.agenda import Agenda, Entry, load_agenda

ENTRY: Entry = load_agenda().entry("class_transition")
NOW = dt.datetime(2026, 11, 22, 15, 0, tzinfo=dt.UTC)  # 12:00 in São Paulo
TODAY = dt.date(2026, 11, 22)


@pytest.fixture(autouse=True)
def english() -> None:
    set_locale("en")


@pytest.mark.parametrize(
    ("date", "hour", "due"),
    [
        (TODAY, dt.time(12, 1), "2026-11-22T15:01:00+00:00"),
        (TODAY, dt.time(23, 59), "2026-11-23T02:59:00+00:00"),
        (TODAY + dt.timedelta(1), dt.time(0, 0), "2026-11-23T03:00:00+00:00"),
        (dt.date(2028, 2, 29), dt.time(9, 30), "2028-02-29T12:30:00+00:00"),
    ],
)
def test_a_date_and_hour_are_those_of_the_agenda(date: dt.date, hour: dt.time, due: str) -> None:
    assert requests.due_at(ENTRY, date, hour, NOW).isoformat() == due


@pytest.mark.parametrize(
    ("date", "hour"),
    [(TODAY, dt.time(12, 0)), (TODAY, dt.time(11, 59)), (TODAY - dt.timedelta(1), dt.time(23, 59))],
)
@pytest.mark.parametrize(("locale", "words"), [("en", "is past"), ("pt", "já passou")])
def test_what_is_past_is_refused_in_words(date: dt.date, hour: dt.time, locale: str, words: str) -> None:
    set_locale(locale)
    with pytest.raises(SettingError, match=words) as refused:
        requests.due_at(ENTRY, date, hour, NOW)
    assert f"{hour:%H:%M}" in str(refused.value)
    assert "backfill" in str(refused.value)


def test_an_hour_that_the_clocks_leave_out_is_refused() -> None:
    entry = ENTRY.model_copy(update={"timezone": "America/New_York"})
    now = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    with pytest.raises(SettingError, match="does not exist"):
        requests.due_at(entry, dt.date(2026, 3, 8), dt.time(2, 30), now)
    assert requests.due_at(entry, dt.date(2026, 3, 8), dt.time(3, 30), now).hour == 7


def test_the_hours_of_another_zone_are_told_in_it_and_it_is_named() -> None:
    entry = ENTRY.model_copy(update={"timezone": "America/Manaus"})
    due = requests.due_at(entry, TODAY, dt.time(12, 30), NOW)
    assert due.isoformat() == "2026-11-22T16:30:00+00:00"
    dag = requests.Dag(paused=False, most=4)
    assert requests.in_words(entry, due, dag).endswith("is due on 22 Nov 2026 12:30 (America/Manaus).")
    assert requests.in_words(ENTRY, due, dag).endswith("is due on 22 Nov 2026 13:30.")
    with pytest.raises(SettingError, match=r"22 Nov 2026 10:59 \(America/Manaus\)") as refused:
        requests.due_at(entry, TODAY, dt.time(10, 59), NOW)
    assert "it is now 22 Nov 2026 11:00 (America/Manaus)" in str(refused.value)


def test_a_business_date_may_be_the_day_it_runs_on_and_no_later() -> None:
    due = dt.datetime(2026, 11, 24, 1, 0, tzinfo=dt.UTC)  # 22:00 of the 23rd in São Paulo
    requests.check_business_date(None, ENTRY, due)
    requests.check_business_date(dt.date(2026, 11, 23), ENTRY, due)
    requests.check_business_date(dt.date(2020, 1, 1), ENTRY, due)
    with pytest.raises(SettingError, match="will not have begun"):
        requests.check_business_date(dt.date(2026, 11, 24), ENTRY, due)


def test_a_queue_is_one_of_the_agenda() -> None:
    agenda = Agenda(programs=(ENTRY,), queues=("night",))
    requests.check_queue(agenda, None)
    requests.check_queue(agenda, "night")
    for wrong in ("nigth", ""):
        with pytest.raises(SettingError, match="queue"):
            requests.check_queue(agenda, wrong)


def test_the_conf_holds_what_was_asked_for() -> None:
    assert requests.conf_of(None, {}, None) == {}
    asked = requests.conf_of(TODAY, {"dry_run": True, "audience": None}, "night")
    assert asked == {"dry_run": True, "audience": None, "business_date": "2026-11-22", "queue": "night"}


def param(value: Any = None, description: str = "", **schema: Any) -> dict[str, Any]:
    return {"value": value, "schema": schema, "description": description}


@pytest.mark.parametrize(
    ("given", "kind", "empty"),
    [
        (param(type=["null", "string"]), "text", True),
        (param("x", type="string"), "text", False),
        (param(3, type="integer", minimum=0, maximum=9), "integer", False),
        (param(3.5, type="number", exclusiveMinimum=0), "number", False),
        (param(False, type="boolean"), "boolean", False),
        (param(type=["null", "string"], format="date"), "date", True),
        (param("a", enum=["a", "b"]), "choice", False),
        (param(None, enum=[None, "b"]), "choice", True),
        (param({"x": 1}, type="object"), "text", False),
    ],
)
def test_a_param_becomes_the_field_of_its_schema(given: dict[str, Any], kind: str, empty: bool) -> None:
    (field,) = requests.fields({"params": {"it": given, "business_date": param(), "queue": param()}})
    assert (field.name, field.kind, field.may_be_empty, field.value) == ("it", kind, empty, given["value"])


def test_a_field_is_called_what_the_dag_calls_it_in_the_language_of_the_browser() -> None:
    dry_run = param(False, "List who would move and why; move nobody.", type="boolean", title="Dry run")
    given = {"dry_run": dry_run}
    set_locale("pt")
    (field,) = requests.fields({"params": given})
    assert field.title == "Simulação"
    assert field.description.startswith("Lista quem mudaria de classe")
    shown = {"march_1": "greeted on 1 March"}
    leap = param("march_1", enum=["february_28", "march_1"], values_display=shown)
    (field,) = requests.fields({"params": {"leap": leap}})
    assert field.choices == (("february_28", "february_28"), ("march_1", "cumprimentados em 1º de março"))


def test_a_dag_without_params_has_no_fields() -> None:
    assert requests.fields({"params": None}) == []
    assert requests.fields({}) == []
    assert not requests.takes_business_date({"params": {}})
