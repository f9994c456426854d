"""The queue that a run was asked for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow import settings

from rotina.errors import SettingError
from rotina.runs import dags, queues
from rotina.runs.agenda import Agenda, load_agenda


@pytest.fixture
def agenda(monkeypatch: pytest.MonkeyPatch) -> Agenda:
    """The agenda, with two queues."""
    changed = load_agenda().model_copy(update={"queues": ("night", "heavy")})
    for module in (queues, dags):
        monkeypatch.setattr(module, "load_agenda", lambda: changed)
    return changed


def routed(conf: Any, dag_id: str = "class_transition") -> str:
    """The queue of a task, as Airflow's own hook leaves it."""
    task = SimpleNamespace(queue="default")
    run = None if conf is None else SimpleNamespace(conf=conf, dag_id=dag_id)
    settings.task_instance_mutation_hook(task, dag_run=run)
    return str(task.queue)


def test_airflow_asks_us(agenda: Agenda) -> None:
    assert settings.task_instance_mutation_hook.is_noop is False
    assert routed({"queue": "night"}) == "night"


@pytest.mark.parametrize("conf", [None, {}, {"queue": None}, {"queue": "nowhere"}, {"queue": ["night"]}])
def test_without_a_queue_of_the_agenda_a_task_stays_where_it_is(agenda: Agenda, conf: Any) -> None:
    assert routed(conf) == "default"


def test_a_dag_of_somebody_else_is_left_alone(agenda: Agenda) -> None:
    assert routed({"queue": "night"}, "not_ours") == "default"


def test_a_wrong_agenda_does_not_stop_the_scheduler(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> Agenda:
        raise SettingError("agenda", "agenda.yaml", "is wrong")

    monkeypatch.setattr(queues, "load_agenda", broken)
    assert routed({"queue": "night"}) == "default"
    assert "agenda" in caplog.text


def test_the_form_offers_the_queues_where_there_are_some(agenda: Agenda) -> None:
    made = dags.daily_routine("class_transition", title="X", doc_md=None, params={})(lambda: None)()
    assert made.params.get_param("queue").schema["enum"] == [None, "night", "heavy"]


def test_without_queues_nothing_is_asked() -> None:
    made = dags.daily_routine("class_transition", title="X", doc_md=None, params={})(lambda: None)()
    assert "queue" not in made.params


def test_a_queue_has_a_name_that_brokers_take() -> None:
    with pytest.raises(ValueError, match="queues"):
        Agenda(programs=(), queues=("two words",))
