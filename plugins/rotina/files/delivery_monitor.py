"""Delivery monitor (crm_monitor): looks every hour whether everything that must go out goes out.

It looks at the days of the file batch, at the days of the daily routines, and at the message queue, and tells
the team once a day of each problem, with what to do (rotina.files.alerts). It reads what the routines write
down about themselves, and nothing of the ERP: it works when half of the system does not. It judges the
present, whatever business date its run has. See docs/delivery-monitor.md.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from psycopg.rows import class_row, scalar_row

from rotina.files.alerts import Problem, update
from rotina.messaging.gateways import Gateway, check_range, load_gateways
from rotina.messaging.send_windows import open_until
from rotina.runs.agenda import Agenda, Entry, load_agenda
from rotina.runs.missed_days import MissedDay, days_between, expected_days, find_missed, runs_on
from rotina.runs.record import Outcome, Run
from rotina.runs.summary import ROUTINE_TITLES
from rotina.sql import statement

#: The routines that are looked at in their own ways: by the ledger of their batches, and by when they began.
BATCH_ROUTINE = "daily_file_batch"
DISPATCH_ROUTINE = "queue_dispatch"

#: How many days of the file batch are told one by one; of older ones the team is told how many there are.
BATCH_DAYS = 31
#: How long a batch may take to go out that could not be in time: a correction, which is made after its day,
#: or a day that was over when the batch was set up.
GRACE = dt.timedelta(hours=1)
#: Of how many of the newest messages the equation of the queue is checked.
NEWEST_MESSAGES = 100_000
#: Characters of an error that are quoted.
_MOST_QUOTED = 300

_ONE_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class _Setting:
    """What the file batch is watched by."""

    first_business_date: dt.date
    due_at: dt.time
    connection_id: str
    acknowledge_within_hours: int | None
    updated_at: dt.datetime


@dataclass(frozen=True)
class _Batch:
    """A day of the file batch with a problem: a row of include/sql/delivery_monitor/list_batches.sql."""

    business_date: dt.date
    problem: str
    revision: int | None
    generated_at: dt.datetime | None
    delivered_at: dt.datetime | None
    verified_at: dt.datetime | None
    acknowledged_at: dt.datetime | None
    manifest_name: str | None
    error: str | None
    first_delivered_at: dt.datetime | None
    due_at: dt.datetime
    complete_by: dt.datetime
    missing_feeds: list[str]
    file_undelivered: bool
    file_unverified: bool


@dataclass(frozen=True)
class _Queue:
    """How the queue of a gateway stands: a row of include/sql/delivery_monitor/list_gateways.sql."""

    code: str
    name: str
    active: bool
    paused_at: dt.datetime | None
    paused_by: str | None
    pause_reason: str | None
    due: int
    due_since: dt.datetime | None
    slow_reason: str | None
    lost: int
    lost_since: dt.datetime | None
    unknown: int
    unknown_since: dt.datetime | None
    broken: int
    moves: bool


@dataclass(frozen=True)
class _Newest:
    """The equation of the queue over its newest messages."""

    written: int
    messages: int
    lost: int
    strange: int


@dataclass(frozen=True)
class _Unacknowledged:
    id: int
    manifest_name: str
    delivered_at: dt.datetime


@dataclass
class Findings:
    """What a look found, and at which subjects it looked, by kind of problem."""

    problems: list[Problem] = field(default_factory=list)
    judged: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def judge(self, kind: str, subjects: Iterable[str]) -> None:
        """Note that these subjects were looked at."""
        self.judged[kind].update(subjects)

    def add(self, kind: str, subject: str, message: str, remedy: str, command: str | None = None) -> None:
        """Note a problem."""
        self.problems.append(Problem(kind, subject, message, remedy, command))


@dataclass(frozen=True)
class _Look:
    """One look of a run: when it is, and how its findings are worded."""

    connection: psycopg.Connection
    params: dict[str, Any]
    at: dt.datetime
    zone: ZoneInfo
    agenda: Agenda
    findings: Findings = field(default_factory=Findings)

    @property
    def today(self) -> dt.date:
        """The local day."""
        return self.at.astimezone(self.zone).date()

    @property
    def still_since(self) -> dt.datetime:
        """What stands still since then stands still for too long."""
        return self.at - dt.timedelta(minutes=self.params["still_minutes"])

    def moment(self, at: dt.datetime | None) -> str:
        """A time as people write it."""
        return f"{at.astimezone(self.zone):%d/%m/%Y %H:%M}" if at else "?"


def check_settings(connection: psycopg.Connection, params: dict[str, Any]) -> None:
    """Refuse to start with a wrong setting. Changes nothing.

    Raises:
        SettingError: a param is out of range.
    """
    check_range("routine_days", params.get("routine_days"), 1, 60)
    check_range("margin_minutes", params.get("margin_minutes"), 0, 1440)
    check_range("still_minutes", params.get("still_minutes"), 1, 1440)


def partner_to_ask(connection: psycopg.Connection, run: Run) -> str | None:
    """The Airflow connection of the partner, if there are batches that it has not acknowledged.

    None where the batch is not set up or switched off, or where the partner acknowledges nothing.
    """
    setting = _file_setting(connection)
    if setting is None or setting.acknowledge_within_hours is None:
        return None
    return setting.connection_id if _unacknowledged(connection, run) else None


def note_acknowledgements(
    connection: psycopg.Connection, run: Run, is_acknowledged: Callable[[str], bool]
) -> int:
    """Ask the partner about the delivered batches that it has not acknowledged; returns how many it has now.

    Args:
        connection: in autocommit.
        run: of the monitor.
        is_acknowledged: asks the partner, by the name of a manifest. What it raises is passed on; what was
            written before stands.
    """
    acknowledged = 0
    for batch in _unacknowledged(connection, run):
        if is_acknowledged(batch.manifest_name):
            noted = {"id": batch.id, "delivered_at": batch.delivered_at}
            connection.execute(statement("delivery_monitor/acknowledge_batch"), noted)
            acknowledged += 1
    return acknowledged


def _unacknowledged(connection: psycopg.Connection, run: Run) -> list[_Unacknowledged]:
    values = {"first_on": run.date - BATCH_DAYS * _ONE_DAY}
    with connection.cursor(row_factory=class_row(_Unacknowledged)) as cursor:
        return cursor.execute(statement("delivery_monitor/list_unacknowledged"), values).fetchall()


def _file_setting(connection: psycopg.Connection) -> _Setting | None:
    with connection.cursor(row_factory=class_row(_Setting)) as cursor:
        return cursor.execute(statement("delivery_monitor/get_file_setting")).fetchone()


def look(
    connection: psycopg.Connection, run: Run, at: dt.datetime, partner_problem: str | None = None
) -> Outcome:
    """Find the problems and write down what the team is to be told, inside the transaction of the caller.

    Params of the run: `routine_days` (how many days back it looks at the routines), `margin_minutes` (how
    long after its hour a routine must have done its day), `still_minutes` (how long the queue may stand
    still).

    Args:
        connection: of the task role.
        run: of the monitor.
        at: now.
        partner_problem: why the partner could not be asked for acknowledgements, if so.

    Returns:
        The equation over the problems of which the team was told before (unchanged). What it is told now is
        counted by rotina.files.alerts.tell.

    Raises:
        SettingError: as `check_settings`.
    """
    check_settings(connection, run.params)
    agenda = load_agenda()
    now = _Look(connection, run.params, at, agenda.entry(run.routine).zone, agenda)
    notes = [note for note in (_look_at_batches(now, partner_problem), partner_problem) if note]
    _look_at_routines(now)
    _look_at_queue(now)
    written = update(connection, now.findings.problems, now.findings.judged, at, now.today)
    details: dict[str, Any] = {"problems": written.found, "recovered": written.recovered}
    if notes:
        details["note"] = "; ".join(notes)
    return Outcome(written.told_before, 0, written.told_before, 0, 0, details)


# -- the file batch ---------------------------------------------------------------------------------------

#: What a run of the day mends.
_BACKFILLED = ("batch_missing", "batch_incomplete", "batch_undelivered", "batch_unverified")
#: What lasts until it is mended.
_BATCH_KINDS = (*_BACKFILLED, "batch_unacknowledged")
_OLDER = "older"
_BACKFILL_BATCH = (
    f"Veja por que a última execução de {BATCH_ROUTINE} não terminou, corrija a causa e rode estes dias, "
    "em ordem:"
)


def _look_at_batches(now: _Look, partner_problem: str | None) -> str | None:
    """The days of the file batch, from the first that the partner expects to yesterday; returns a note."""
    setting = _file_setting(now.connection)
    if setting is None:
        return "o lote diário de arquivos não está configurado: não há o que observar"
    watched_from = setting.updated_at + GRACE
    if now.at < watched_from:
        return "o lote diário de arquivos acaba de ser configurado: ainda não é observado"
    yesterday = now.today - _ONE_DAY
    values = {
        "first_on": setting.first_business_date,
        "last_on": yesterday,
        "due_at": setting.due_at,
        "timezone": now.zone.key,
        "at": now.at,
        "grace": GRACE,
        "watched_from": watched_from,
        "acknowledge_within_hours": setting.acknowledge_within_hours,
    }
    with now.connection.cursor(row_factory=class_row(_Batch)) as cursor:
        batches = cursor.execute(statement("delivery_monitor/list_batches"), values).fetchall()
    first_on = max(setting.first_business_date, now.today - BATCH_DAYS * _ONE_DAY)
    recent = [batch for batch in batches if batch.business_date >= first_on]
    older = [batch for batch in batches if batch.business_date < first_on and batch.problem in _BACKFILLED]

    # A day that has another problem now is not over.
    ailing = {str(batch.business_date) for batch in recent if batch.problem in _BATCH_KINDS}
    days = list(days_between(first_on, yesterday))
    for kind in _BATCH_KINDS:
        now.findings.judge(kind, {str(day) for day in days} - ailing)
    now.findings.judge("batch_older", [_OLDER])

    to_run = [batch.business_date for batch in recent if batch.problem in _BACKFILLED]
    entry = now.agenda.entry(BATCH_ROUTINE)
    commands = _commands(entry, to_run, days)
    for batch in recent:
        message, remedy = _describe_batch(now, batch, setting, partner_problem)
        command = commands[batch.business_date] if batch.problem in _BACKFILLED else None
        now.findings.add(batch.problem, str(batch.business_date), message, remedy, command)
    if older:
        dates = [batch.business_date for batch in older]
        first, last = dates[0], dates[-1]
        now.findings.add(
            "batch_older",
            _OLDER,
            f"Lote de arquivos: há mais {len(dates)} {'dia' if len(dates) == 1 else 'dias'} com problema "
            f"entre {first:%d/%m/%Y} e {last:%d/%m/%Y}, antes dos últimos {BATCH_DAYS} dias",
            "Rode primeiro estes, que são os mais antigos; o aviso de amanhã traz os seguintes:",
            _commands(entry, dates, list(days_between(first, last)))[first],
        )
    return None


def _describe_batch(
    now: _Look, batch: _Batch, setting: _Setting, partner_problem: str | None
) -> tuple[str, str]:
    """What is wrong with a day of the file batch, and what to do."""
    correction = " (correção)" if (batch.revision or 1) > 1 else ""
    name = f"Lote de arquivos de {batch.business_date:%d/%m/%Y}{correction}"
    error = f": {_quoted(batch.error)}" if batch.error else ""
    due = now.moment(batch.due_at)
    match batch.problem:
        case "batch_missing":
            return f"{name} não foi gerado até {due}{error}", _BACKFILL_BATCH
        case "batch_incomplete":
            feeds = ", ".join(batch.missing_feeds)
            return f"{name} não tem todos os arquivos; falta: {feeds}{error}", _BACKFILL_BATCH
        case "batch_undelivered":
            return (
                f"{name} foi gerado em {now.moment(batch.generated_at)} e não foi entregue até "
                f"{now.moment(batch.complete_by)}{error}",
                _BACKFILL_BATCH,
            )
        case "batch_unverified":
            return (
                f"{name} foi entregue em {now.moment(batch.delivered_at)}, e não se conferiu o que "
                f"está no parceiro{error}",
                _BACKFILL_BATCH,
            )
        case "batch_unacknowledged":
            silence = f"; o parceiro não responde: {_quoted(partner_problem)}" if partner_problem else ""
            return (
                f"{name} foi entregue em {now.moment(batch.delivered_at)} e não foi confirmado pelo "
                f"parceiro em {setting.acknowledge_within_hours} h{silence}",
                "Peça ao parceiro que confira o recebimento. A confirmação é o arquivo "
                f"{batch.manifest_name}.ack, ao lado do lote.",
            )
        case "batch_late":
            return (
                f"{name} saiu com atraso, em {now.moment(batch.first_delivered_at)} (prazo: {due})",
                "O lote está entregue; veja nas execuções do dia por que atrasou.",
            )
    raise ValueError(f"unknown problem {batch.problem}")


# -- the daily routines -----------------------------------------------------------------------------------


def _look_at_routines(now: _Look) -> None:
    """The days that a daily routine should have done by now."""
    margin = dt.timedelta(minutes=now.params["margin_minutes"])
    entries = {entry.routine: entry for entry in now.agenda.daily() if entry.routine != BATCH_ROUTINE}
    expected = {
        routine: expected_days(entry, now.at, now.params["routine_days"], margin)
        for routine, entry in entries.items()
    }
    missed = find_missed(now.connection, expected, now.at - margin)
    now.findings.judge(
        "routine_missed", (f"{routine} {day}" for routine, days in expected.items() for day in days)
    )
    for routine, days in expected.items():
        own = [day for day in missed if day.routine == routine]
        to_run = [day.business_date for day in own if day.status != "running"]
        commands = _commands(entries[routine], to_run, list(days))
        for day in own:
            message, remedy = _describe_missed(now, day)
            command = commands.get(day.business_date)
            now.findings.add("routine_missed", f"{routine} {day.business_date}", message, remedy, command)


def _describe_missed(now: _Look, day: MissedDay) -> tuple[str, str]:
    """Why a routine did not do a day, and what to do."""
    title = ROUTINE_TITLES.get(day.routine, day.routine)
    name = f"{title} ({day.routine}) de {day.business_date:%d/%m/%Y}"
    if day.status == "running":
        return (
            f"{name} está em execução desde {now.moment(day.started_at)} e não termina",
            "Veja no Airflow em que tarefa ela está; se parou, encerre a execução e rode o dia de novo.",
        )
    remedy = (
        "Veja no Airflow por que falhou, ou se a DAG está pausada ou não carrega; corrija a causa e rode "
        "estes dias:"
    )
    if day.status is None:
        return f"{name} não rodou (estava prevista para {now.moment(day.scheduled_at)})", remedy
    if day.status == "failed":
        return f"{name} falhou: {_quoted(day.message) or 'sem motivo anotado'}", remedy
    return f"{name} só rodou em parte ou como simulação", remedy


# -- the message queue ------------------------------------------------------------------------------------


def _look_at_queue(now: _Look) -> None:
    """Gateways that stand still, messages that nobody will move, and the equation of the queue."""
    values = {"since": now.still_since, "routine": DISPATCH_ROUTINE, "at": now.at}
    with now.connection.cursor(row_factory=class_row(_Queue)) as cursor:
        queues = cursor.execute(statement("delivery_monitor/list_gateways"), values).fetchall()
    gateways = {gateway.code: gateway for gateway in load_gateways(now.connection)}
    now.findings.judge("gateway_paused", gateways)
    for kind in ("queue_sending", "queue_unknown", "queue_attempts"):
        now.findings.judge(kind, (queue.code for queue in queues))
    for queue in queues:
        _look_at_gateway(now, queue, gateways.get(queue.code))
    _look_at_equation(now)
    _look_at_dispatch(now)


def _look_at_gateway(now: _Look, queue: _Queue, gateway: Gateway | None) -> None:
    """What is wrong with the queue of one gateway."""
    add = now.findings.add
    name = f"{queue.name} ({queue.code})"
    if queue.paused_at and queue.paused_by == DISPATCH_ROUTINE and queue.active:
        add(
            "gateway_paused",
            queue.code,
            f"O gateway {name} está pausado por erro desde {now.moment(queue.paused_at)}: "
            f"{_quoted(queue.pause_reason)}",
            "Corrija a configuração (credenciais, modelo, remetente) e retome o gateway, em Python:",
            f'rotina.messaging.operations.resume(connection, "{queue.code}", login)',
        )
    idle = queue.due > 0 and not queue.moves
    if gateway and not queue.paused_at and (not idle or _was_open(now, gateway)):
        now.findings.judge("queue_waiting", [queue.code])
        if idle:
            slow = f"; o gateway não responde ou pediu descanso: {_quoted(queue.slow_reason)}"
            add(
                "queue_waiting",
                queue.code,
                f"Fila parada no gateway {name}: nada saiu em {now.params['still_minutes']} minutos, e há o "
                f"que enviar desde {now.moment(queue.due_since)} ({_messages(queue.due)})"
                f"{slow if queue.slow_reason else ''}",
                f"Veja no log da tarefa dispatch por que {DISPATCH_ROUTINE} não envia. Para enviar agora:",
                f"airflow dags trigger {DISPATCH_ROUTINE}",
            )
    if queue.lost:
        add(
            "queue_sending",
            queue.code,
            f"Envio interrompido no gateway {name}: {_messages(queue.lost)} em envio com o prazo vencido, o "
            f"primeiro em {now.moment(queue.lost_since)}",
            f"Quem enviava parou. A próxima execução de {DISPATCH_ROUTINE} as dá por não confirmadas:",
            f"airflow dags trigger {DISPATCH_ROUTINE}",
        )
    if queue.unknown:
        add(
            "queue_unknown",
            queue.code,
            f"Sem resposta clara do gateway {name}: não se sabe se saiu o que se tentou enviar desde "
            f"{now.moment(queue.unknown_since)} ({_messages(queue.unknown)})",
            "Elas não saem de novo sozinhas. Procure-as na tela do gateway e confirme ou libere cada uma "
            "(docs/message-queue.md). Para vê-las, em SQL:",
            _query(now, "show_unknown", code=queue.code),
        )
    if queue.broken:
        add(
            "queue_attempts",
            queue.code,
            f"No gateway {name} a situação e as tentativas de envio não combinam ({_messages(queue.broken)})",
            "Isto não deveria acontecer: não mude as tabelas da fila à mão. Para vê-las, em SQL:",
            _query(now, "show_broken", code=queue.code),
        )


def _was_open(now: _Look, gateway: Gateway) -> bool:
    """Whether the gateway might send all the time that the queue may stand still."""
    until = open_until(gateway.windows, gateway.zone, now.still_since)
    return until is not None and until > now.at


def _look_at_equation(now: _Look) -> None:
    """Whether every message that was written is there, once, with a status; of the newest ones."""
    with now.connection.cursor(row_factory=scalar_row) as cursor:
        (newest,) = cursor.execute(statement("delivery_monitor/get_newest_message")).fetchall()
    after = (newest or 0) - NEWEST_MESSAGES
    with now.connection.cursor(row_factory=class_row(_Newest)) as cursor:
        values = {"after_id": after}
        (counted,) = cursor.execute(statement("delivery_monitor/compare_newest"), values).fetchall()
    now.findings.judge("queue_equation", ["queue"])
    if counted.lost or counted.strange:
        now.findings.add(
            "queue_equation",
            "queue",
            f"A conta da fila não fecha nas mensagens mais novas: {counted.written} foram gravadas e a soma "
            f"por situação é {counted.messages} (sumiram: {counted.lost}; sem chave: {counted.strange})",
            "Alguém apagou ou incluiu linhas da fila à mão: restaure-as de um backup. Para vê-las, em SQL:",
            _query(now, "show_lost", after_id=after),
        )


def _look_at_dispatch(now: _Look) -> None:
    """Whether queue_dispatch runs at all; one that never ran is not installed yet."""
    entry = now.agenda.entry(DISPATCH_ROUTINE)
    days = {at.astimezone(entry.zone).date() for at in (now.still_since, now.at)}
    if not entry.active or not all(runs_on(entry, day) for day in days):
        return
    now.findings.judge("dispatch_silent", [DISPATCH_ROUTINE])
    with now.connection.cursor(row_factory=scalar_row) as cursor:
        values = {"routine": DISPATCH_ROUTINE}
        last = cursor.execute(statement("delivery_monitor/get_last_start"), values).fetchone()
    if last and last <= now.still_since:
        now.findings.add(
            "dispatch_silent",
            DISPATCH_ROUTINE,
            f"{DISPATCH_ROUTINE} não roda desde {now.moment(last)}: nenhuma mensagem sai",
            "Veja no Airflow se o agendador está de pé e a DAG carrega. Se ela estiver pausada:",
            f"airflow dags unpause {DISPATCH_ROUTINE}",
        )


# -- parts ------------------------------------------------------------------------------------------------


def _commands(entry: Entry, days: Collection[dt.date], order: Sequence[dt.date]) -> dict[dt.date, str]:
    """The backfill command of each day: one for those that follow each other in `order`.

    It runs a day again whatever Airflow thinks of it: only days are told that are not done.
    """
    stretches: list[list[dt.date]] = []
    follows = False
    for day in order:
        if day in days and follows:
            stretches[-1].append(day)
        elif day in days:
            stretches.append([day])
        follows = day in days
    return {day: entry.backfill_command(stretch[0], stretch[-1]) for stretch in stretches for day in stretch}


def _query(now: _Look, name: str, **values: object) -> str:
    """A statement with its values, ready to copy."""
    text = psycopg.ClientCursor(now.connection).mogrify(statement(f"delivery_monitor/{name}"), values)
    return f"{text.strip()};"


def _messages(number: int) -> str:
    return "1 mensagem" if number == 1 else f"{number:,} mensagens".replace(",", ".")


def _quoted(text: str | None) -> str:
    """A text of somebody else's on one line, not too long."""
    line = " ".join((text or "").split())
    return line if len(line) <= _MOST_QUOTED else f"{line[:_MOST_QUOTED]}…"
