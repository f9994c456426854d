"""Backfills: the days of a routine run again by Airflow, one after the other, as the person who asks.

Airflow takes one backfill of a DAG at a time, and gives every run its own business date.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rotina.console.airflow import Airflow


@dataclass(frozen=True)
class Backfill:
    """A backfill that is not over."""

    id: int
    first: dt.date
    last: dt.date
    """Business dates, both included."""
    created_at: dt.datetime
    paused: bool

    @property
    def days(self) -> int:
        """How many days it runs at most."""
        return (self.last - self.first).days + 1


def days_to_run(airflow: Airflow, routine: str, first: dt.date, last: dt.date) -> list[dt.date]:
    """The days that a backfill would run, in their order: those that are not being run already.

    Raises:
        AirflowError: Airflow refuses.
    """
    answer = airflow.post("backfills/dry_run", _body(routine, first, last))
    return sorted(dt.date.fromisoformat(one["partition_key"]) for one in answer["backfills"])


def ask(
    airflow: Airflow, routine: str, first: dt.date, last: dt.date, conf: Mapping[str, Any] | None = None
) -> int:
    """Ask Airflow to run the days, with the params of `conf`; returns the number of the backfill.

    A day that Airflow ran already is run again: whether it was done for good is for the run records to say.

    Raises:
        AirflowError: Airflow refuses, as when another backfill of the routine is not over.
    """
    return int(
        airflow.post("backfills", _body(routine, first, last) | {"dag_run_conf": dict(conf or {})})["id"]
    )


def unfinished(airflow: Airflow, routine: str) -> Backfill | None:
    """The backfill of a routine that is not over; None when there is none.

    Raises:
        AirflowError: Airflow refuses.
    """
    found = airflow.get("backfills", dag_id=routine, order_by="-id", limit=1)["backfills"]
    return _backfill(found[0]) if found and found[0]["completed_at"] is None else None


def _body(routine: str, first: dt.date, last: dt.date) -> dict[str, Any]:
    # Airflow reads the wall clock of these in the zone of the timetable (docs/adr/0003-business-date.md).
    return {
        "dag_id": routine,
        "from_date": f"{first}T00:00:00Z",
        "to_date": f"{last}T23:59:00Z",
        "max_active_runs": 1,
        "reprocess_behavior": "completed",
    }


def _backfill(found: Mapping[str, Any]) -> Backfill:
    first, last, created = (
        dt.datetime.fromisoformat(found[name]) for name in ("from_date", "to_date", "created_at")
    )
    return Backfill(found["id"], first.date(), last.date(), created, found["is_paused"])
