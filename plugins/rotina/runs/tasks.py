"""The tasks around the work of a routine: begin, the steps, report. What Airflow tells is read here only."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import psycopg
from airflow.sdk import conf
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from rotina.errors import MaybeSentError, NothingToDoError, NotSentError, SettingError
from rotina.hooks.erp import ErpHook
from rotina.hooks.mail import MailHook
from rotina.runs import record
from rotina.runs.agenda import Entry, load_agenda
from rotina.runs.business_date import Occasion, business_date_of, holiday_name, refuse_future
from rotina.runs.record import Outcome, Run, RunRequest
from rotina.runs.summary import send_summary

log = logging.getLogger(__name__)

T = TypeVar("T")

Context = Mapping[str, Any]
Check = Callable[[psycopg.Connection, dict[str, Any]], None]
Work = Callable[[psycopg.Connection, Run], Outcome]
Missing = Callable[[psycopg.Connection, Run], str | None]

#: Names of the tasks that open and close a run.
BEGIN_TASK = "begin"
REPORT_TASK = "report"

_ENDED = {"success", "failed", "skipped", "upstream_failed", "removed"}

_NO_CHANGE = "Nothing was changed."


def begin(context: Context, check: Check) -> dict[str, Any]:
    """Open the run record, refuse wrong settings, skip on a holiday where the agenda says so.

    Args:
        context: Airflow's context of the task.
        check: refuses wrong settings of the routine by raising SettingError; it changes nothing.

    Returns:
        What the run is about, for the log: id of the run record and business date.

    Raises:
        AirflowFailException: a setting is wrong; nothing was changed.
        AirflowSkipException: the business date is a holiday.
    """
    entry = load_agenda().entry(context["dag"].dag_id)
    problem: SettingError | None = None
    business_date = None
    try:
        business_date = business_date_of(_occasion(context), entry.zone, entry.day_offset)
        refuse_future(business_date, entry.zone, day_offset=entry.day_offset)
    except SettingError as error:
        problem, business_date = error, None
    dag_run = context["dag_run"]
    request = RunRequest(
        routine=entry.routine,
        program=entry.program,
        dag_run_id=dag_run.run_id,
        run_type=_run_type(context),
        business_date=business_date,
        asked_by=dag_run.triggering_user_name,
        params=dict(context["params"]),
    )
    with ErpHook().connect() as connection:
        run = record.open_run(connection, request)
        try:
            if problem:
                raise problem
            check(connection, request.params)
        except SettingError as error:
            record.note_failure(connection, run.id, str(error))
            raise AirflowFailException(f"{error}. {_NO_CHANGE}") from error
        holiday = holiday_name(run.date) if entry.holidays == "skip" and run.run_type != "manual" else None
        if holiday:
            record.close_run(connection, run.id, "skipped", f"feriado: {holiday}")
            raise AirflowSkipException(f"{run.date} is a holiday ({holiday}); the agenda says skip")
    log.info("Run record %s: %s for %s, asked by %s", run.id, run.routine, run.date, run.asked_by)
    return {"run_record": run.id, "business_date": run.date.isoformat()}


def step(context: Context, work: Work) -> dict[str, Any]:
    """Do one step of the run: `work` in one transaction that also records what it did.

    A step that is committed is not done again when Airflow tries its task again; a task that an operator
    clears after the run was closed works anew, under a new attempt. Cleared alone, without `report`, it also
    closes that attempt and sends its summary.

    Returns:
        The counts of the step.

    Raises:
        AirflowFailException: a setting turned out wrong; nothing was changed.
        AirflowSkipException: `begin` refused the run.
        RunBusyError: another run of the routine did not end in time.
    """
    name = context["task"].task_id
    if _state_of(context, BEGIN_TASK) in (
        "failed",
        "skipped",
    ):  # a step that runs whatever became of those before it
        raise AirflowSkipException("the run was refused; there is nothing to do")
    with ErpHook().connect() as connection:
        run = _current_run(connection, context)
        try:
            with record.routine_lock(connection, run.routine):
                run = _current_run(connection, context)  # as it is now: another try may have worked meanwhile
                if run.status != "running":
                    run = record.reopen_run(connection, run, name)
                if name in run.steps:
                    log.info("Step %s was committed by an earlier try; nothing left to do", name)
                    record.note_failure(connection, run.id, None)
                else:
                    _do_step(connection, run, name, work)
        except BaseException as error:  # a time-out of the task is no Exception
            _note_failure(run, error)
            if _is_last_try(context, error):
                _close_when_alone(context, run)
            if isinstance(error, SettingError):
                raise AirflowFailException(f"{error}. {_NO_CHANGE}") from error
            raise
        run = _close_when_alone(context, run)
    log.info("%s for %s: %s %s", run.routine, run.date, _counts(run), run.details)
    return _counts(run)


def wait(context: Context, missing: Missing) -> bool:
    """Whether what a run waits for is there; the work of a sensor, which asks again until it is.

    The param `wait_minutes` of the run says how long after its beginning it gives up.

    Args:
        context: Airflow's context of the task.
        missing: says in words what is not there yet and what to do about it; None when all of it is.

    Raises:
        AirflowFailException: it is not there in time, or a setting is wrong; nothing was changed.
        AirflowSkipException: there is nothing to do for the business date.
    """
    with ErpHook().connect() as connection:
        run = _current_run(connection, context)
        try:
            problem = missing(connection, run)
        except NothingToDoError as nothing:
            record.close_run(connection, run.id, "skipped", str(nothing))
            raise AirflowSkipException(str(nothing)) from nothing
        except SettingError as error:
            record.note_failure(connection, run.id, str(error))
            raise AirflowFailException(f"{error}. {_NO_CHANGE}") from error
        if problem is None:
            return True
        minutes = run.params["wait_minutes"]
        if dt.datetime.now(dt.UTC) < run.started_at + dt.timedelta(minutes=minutes):
            log.info("Not yet: %s", problem)
            return False
        message = f"{problem} (waited {minutes} minutes)"
        record.note_failure(connection, run.id, message)
    raise AirflowFailException(f"{message}. {_NO_CHANGE}")


def effect(context: Context, work: Callable[[Run], T]) -> T:
    """Do work of the run that is not one transaction: it keeps its own books and may be done again.

    Raises:
        AirflowFailException: a setting is wrong.
    """
    with ErpHook().connect() as connection:
        run = _current_run(connection, context)
    try:
        return work(run)
    except SettingError as error:
        raise AirflowFailException(str(error)) from error


def run_url(run: Run) -> str:
    """Where the Airflow UI shows a run."""
    return f"{conf.get('api', 'base_url', fallback='').rstrip('/')}/dags/{run.routine}/runs/{run.dag_run_id}"


def _do_step(connection: psycopg.Connection, run: Run, name: str, work: Work) -> None:
    entry = load_agenda().entry(run.routine)
    refuse_future(run.date, entry.zone, day_offset=entry.day_offset)
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    with connection.transaction():
        outcome = work(connection, run)
        record.record_step(connection, run.id, name, outcome)
    connection.isolation_level = None


def _close_when_alone(context: Context, run: Run) -> Run:
    """Close the attempt of a step that was cleared alone: `report` has ended and will not run again.

    The summary that cannot be sent stands in the run record; failing the step for it would do its work again.
    Returns the run as it stands.
    """
    with ErpHook().connect() as connection:
        run = _current_run(connection, context)
        if run.attempt > 1 and run.status == "running" and _has_ended(context, REPORT_TASK):
            record.close_run(connection, run.id, *_verdict(run, [context["task"].task_id]))
            run = _current_run(connection, context)
            try:
                _send(connection, run, load_agenda().entry(run.routine))
            except (NotSentError, AirflowFailException):
                log.exception("The summary of run record %s was not delivered", run.id)
    return run


def report(context: Context, steps: list[str]) -> dict[str, Any]:
    """Close the run record and send the summary; wire it as a teardown that fails the run when it fails.

    Args:
        context: Airflow's context of the task.
        steps: the steps that a complete run has done.

    Returns:
        The status of the run and what came of its summary.

    Raises:
        NotSentError: the summary could not be delivered; the work stands, and trying again is safe.
        AirflowFailException: every record failed, or nobody knows whether the summary was sent.
    """
    entry = load_agenda().entry(context["dag"].dag_id)
    with ErpHook().connect() as connection:
        run = _current_run(connection, context)
        if run.status == "running":
            record.close_run(connection, run.id, *_verdict(run, steps, _failed_tasks(context)))
            run = _current_run(connection, context)
        summary = "none"
        if run.status != "skipped" and (entry.summary == "always" or run.asked_by or run.status == "failed"):
            summary = _send(connection, run, entry)
    log.info("Run record %s %s; summary %s", run.id, run.status, summary)
    if run.status == "failed":
        raise AirflowFailException(f"{run.routine} for {run.business_date} failed: {run.message}")
    return {"status": run.status, "summary": summary}


def _send(connection: psycopg.Connection, run: Run, entry: Entry) -> str:
    stands = f"The work of run record {run.id} stands ({run.status}), but its summary"
    try:
        summary = send_summary(connection, run, entry.zone, run_url(run), MailHook().send)
    except NotSentError as error:
        raise NotSentError(f"{stands} was not delivered: {error}") from error
    except SettingError as error:
        raise AirflowFailException(f"{stands} was not sent: {error}") from error
    except MaybeSentError as error:
        raise AirflowFailException(f"{stands} may not have reached everybody: {error}") from error
    if summary == "unknown":
        raise AirflowFailException(f"{stands} may have been sent or not; it is not sent again")
    if summary == "no_recipient":
        log.warning("Nobody received the summary: add a row to crm.app_user or crm.routine_recipient")
    return summary


def _verdict(run: Run, steps: list[str], failed_tasks: Sequence[str] = ()) -> tuple[str, str | None]:
    missing = [name for name in steps if name not in run.steps]
    if run.message or missing:
        return "failed", f"o passo {', '.join(missing)} não terminou; veja o log da tarefa"
    if alert := run.details.get("alert"):
        return "failed", str(alert)
    if failed_tasks:
        return "failed", f"falhou: {', '.join(failed_tasks)}; veja o log da tarefa"
    if run.selected and run.failed == run.selected:
        return "failed", "todos os registros selecionados falharam"
    return "succeeded", None


def _current_run(connection: psycopg.Connection, context: Context) -> Run:
    routine, dag_run_id = context["dag"].dag_id, context["dag_run"].run_id
    run = record.latest_attempt(connection, routine, dag_run_id)
    if run is None:
        raise AirflowFailException(
            f"{routine} {dag_run_id} has no run record, so begin did not get to the database; clear begin"
        )
    return run


def _note_failure(run: Run, error: BaseException) -> None:
    """Write the reason down on a connection of its own: that of the work may be broken.

    Of an error of the database only its first line: the others quote rows, which hold personal data.
    """
    text = error.diag.message_primary if isinstance(error, psycopg.Error) else str(error).strip()
    message = text or type(error).__name__
    try:
        with ErpHook().connect() as connection:
            record.note_failure(connection, run.id, message)
    except psycopg.Error:
        log.exception("The run record does not get the reason of the failure: no database")


def _is_last_try(context: Context, error: BaseException) -> bool:
    """Whether Airflow will not try this task again after `error`."""
    return (
        isinstance(error, SettingError | AirflowFailException)
        or context["ti"].try_number > context["ti"].max_tries
    )


def _failed_tasks(context: Context) -> list[str]:
    """The tasks of this run that failed for good, mapped ones with their index."""
    run_id = context["dag_run"].run_id
    states = context["ti"].get_task_states(context["dag"].dag_id, run_ids=[run_id])
    return sorted(name for name, state in states.get(run_id, {}).items() if state == "failed")


def _has_ended(context: Context, task_id: str) -> bool:
    """Whether a task of this run has ended, so that nobody will run it after this one."""
    return _state_of(context, task_id) in _ENDED


def _state_of(context: Context, task_id: str) -> str | None:
    run_id = context["dag_run"].run_id
    states = context["ti"].get_task_states(context["dag"].dag_id, task_ids=[task_id], run_ids=[run_id])
    state: str | None = states.get(run_id, {}).get(task_id)
    return state


def _run_type(context: Context) -> str:
    run_type = context["dag_run"].run_type
    return str(getattr(run_type, "value", run_type))


def _occasion(context: Context) -> Occasion:
    dag_run = context["dag_run"]
    return Occasion(
        run_type=_run_type(context),
        param=context["params"].get("business_date"),
        partition_key=dag_run.partition_key,
        logical_date=dag_run.logical_date,
        run_after=dag_run.run_after,
    )


def _counts(run: Run) -> dict[str, Any]:
    return {name: getattr(run, name) for name in ("selected", "changed", "unchanged", "skipped", "failed")}
