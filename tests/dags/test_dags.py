"""Every DAG loads, serialises and carries what people rely on; Airflow does not see the shared package."""

from __future__ import annotations

import ast
import datetime as dt
import re
import subprocess
import sys
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.trigger import CronPartitionTimetable
from airflow.utils import timezone

from rotina.runs.agenda import load_agenda

REPOSITORY = Path(__file__).parents[2]
DAG_FILES = sorted((REPOSITORY / "dags").glob("*.py"))


@pytest.fixture(scope="module")
def dags() -> DagBag:
    """All DAGs of this project."""
    return DagBag(dag_folder=str(REPOSITORY / "dags"), bundle_path=REPOSITORY / "dags")


def test_every_dag_file_loads_and_serialises(dags: DagBag) -> None:
    assert dags.import_errors == {}
    assert sorted(dags.dags) == [path.stem for path in DAG_FILES]
    for dag in dags.dags.values():
        assert DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag)).dag_id == dag.dag_id


def test_every_dag_has_an_entry_in_the_agenda_and_every_entry_a_dag(dags: DagBag) -> None:
    assert {entry.routine for entry in load_agenda().programs} == set(dags.dags)


def test_every_dag_follows_the_agenda(dags: DagBag) -> None:
    for entry in load_agenda().programs:
        dag = dags.dags[entry.routine]
        assert entry.program in dag.tags
        assert dag.catchup is False
        assert dag.start_date is not None
        as_scheduled = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag)).timetable
        assert as_scheduled.summary == (entry.cron if entry.active else "None")


@pytest.mark.parametrize(
    ("routine", "dates"),
    [
        ("account_data_refresh", ["2026-11-20", "2026-11-21", "2026-11-22"]),
        ("daily_file_batch", ["2026-11-19", "2026-11-20", "2026-11-21"]),
    ],
)
def test_a_scheduled_run_has_the_business_date_of_the_agenda(
    dags: DagBag, routine: str, dates: list[str]
) -> None:
    """Three days in a row; a backfill of these dates has the same keys and the same partitions."""
    dag = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dags.dags[routine]))
    timetable = dag.timetable
    assert isinstance(timetable, CronPartitionTimetable)
    hour = (load_agenda().entry(routine).hours or ())[0]
    ticks = [dt.datetime(2026, 11, day, hour.hour + 3, hour.minute, tzinfo=dt.UTC) for day in (20, 21, 22)]
    scheduled = [timetable._get_partition_info(timezone.coerce_datetime(tick)) for tick in ticks]
    assert [key for _, key in scheduled] == dates
    first, last = (dt.datetime.fromisoformat(f"{date}T00:00+00:00") for date in (dates[0], dates[-1]))
    backfilled = timetable.iter_partition_dagrun_infos(earliest=first, latest=last + dt.timedelta(hours=23))
    assert [(info.partition_date, info.partition_key) for info in backfilled] == scheduled


def test_every_dag_tells_what_to_do_when_it_fails(dags: DagBag) -> None:
    for dag in dags.dags.values():
        assert "**When it fails**" in (dag.doc_md or "")
        assert "**Safe to re-run?**" in (dag.doc_md or "")


def test_the_last_task_of_a_routine_is_a_teardown_that_fails_the_run(dags: DagBag) -> None:
    for dag in dags.dags.values():
        (last,) = [task for task in dag.tasks if not task.downstream_task_ids]
        assert last.task_id == "report"
        assert last.is_teardown
        assert last.on_failure_fail_dagrun


def test_tasks_have_retries_and_a_time_limit(dags: DagBag) -> None:
    for task in (task for dag in dags.dags.values() for task in dag.tasks):
        assert task.retries > 0
        assert task.execution_timeout is not None


@pytest.mark.parametrize("path", DAG_FILES, ids=lambda path: path.stem)
def test_a_dag_file_is_wiring(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 100
    imported = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in ast.parse(source).body
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert imported <= {"__future__", "airflow.sdk", "rotina.runs.dags", "rotina.runs.defaults"}


@pytest.mark.parametrize("path", DAG_FILES, ids=lambda path: path.stem)
def test_a_routine_has_one_name_everywhere(path: Path) -> None:
    (module,) = (REPOSITORY / "plugins" / "rotina").glob(f"*/{path.stem}.py")
    assert (REPOSITORY / "include" / "sql" / path.stem).is_dir()
    assert (REPOSITORY / "tests" / module.parent.name / f"test_{path.stem}.py").is_file()


def test_every_statement_says_what_it_does_and_its_parameters() -> None:
    for path in (REPOSITORY / "include" / "sql").rglob("*.sql"):
        text = path.read_text(encoding="utf-8")
        header = " ".join(line.removeprefix("-- ") for line in text.splitlines() if line.startswith("--"))
        assert text.startswith("-- "), path
        used = set(re.findall(r"%\((\w+)\)s", text))
        named = header.partition("Parameter")[2]
        assert all(name in named for name in used) or "fields of" in named, (path, used)


def test_parsing_the_dags_loads_no_heavy_library() -> None:
    """Parsing happens again and again: the database drivers, numpy and the mail hooks wait for a task."""
    heavy = ["psycopg", "asyncpg", "numpy", "faker", "holidays", "rotina.hooks", "rotina.accounts"]
    script = (
        "import runpy, sys\n"
        f"for path in {[str(path) for path in DAG_FILES]!r}: runpy.run_path(path)\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(REPOSITORY / "plugins"), "PATH": "", "AIRFLOW__CORE__LOAD_EXAMPLES": "False"},
    )
    assert result.stdout.strip().splitlines()[-1] == "[]"


def test_airflow_does_not_scan_the_shared_package() -> None:
    ignored = (REPOSITORY / "plugins" / ".airflowignore").read_text().split()
    assert ignored == ["rotina/", "airflow_local_settings.py"]
