"""What the delivery monitor finds, in the words of the e-mail that the team gets from a real mail server."""

from __future__ import annotations

import datetime as dt
import re
import subprocess
import sys
from typing import Any

import psycopg
import pytest

from rotina.errors import RotinaError, SettingError
from rotina.files import alerts, delivery_monitor
from rotina.files.delivery_monitor import check_settings, note_acknowledgements, partner_to_ask
from rotina.local.mailbox import Mailbox
from rotina.local.settings import REPOSITORY
from rotina.messaging import operations
from rotina.runs.agenda import Agenda, load_agenda
from tests.files.monitor_data import (
    DAY,
    FEEDS,
    HOUR,
    PARAMS,
    Team,
    add_batch,
    add_good_batches,
    add_run,
    local,
    open_monitor,
    set_up_batch,
)
from tests.messaging.queue_data import add_gateway, add_message, add_window, insert
from tests.runs.conftest import airflow_connections, mailbox, smtp_port  # noqa: F401

pytestmark = pytest.mark.usefixtures("airflow_connections")

BACKFILL = "airflow backfill create --dag-id {} --from-date {} --to-date {}T23:59 --max-active-runs 1"


@pytest.fixture
def team(
    owner: psycopg.Connection,
    connection: psycopg.Connection,
    task_uri: str,
    mailbox: Mailbox,  # noqa: F811
) -> Team:
    """The monitor with somebody to tell."""
    owner.execute("insert into crm.routine_recipient values ('*', 'operacao@example.com')")
    return Team(connection, task_uri, mailbox)


def commands(text: str | None) -> list[str]:
    """The commands of an e-mail, without how days that were run are treated."""
    return [
        line.rpartition(" --reprocess")[0] or line
        for line in (text or "").splitlines()
        if line.startswith(("airflow ", "rotina."))
    ]


def query_of(owner: psycopg.Connection, text: str) -> bytes:
    """The one query of an e-mail, ready to run."""
    ((query,),) = owner.execute("select command from crm.alert where command like '%select%'").fetchall()
    assert all(line in text for line in query.splitlines())
    return str(query).encode()


# -- nothing to tell --------------------------------------------------------------------------------------


def test_an_empty_database_has_no_problems(team: Team) -> None:
    for _ in range(2):
        assert team.watch("2026-11-20 10:00") is None
        assert team.last.counts == (0, 0, 0)
        assert "não está configurado" in team.last.seen.details["note"]


def test_a_day_on_which_all_went_out_has_no_problems(owner: psycopg.Connection, team: Team) -> None:
    set_up_batch(owner, "2026-11-17")
    add_good_batches(owner, "2026-11-17", "2026-11-19")
    add_run(owner, "class_transition", "2026-11-19", "2026-11-19 04:20")
    add_run(owner, "class_transition", "2026-11-20", "2026-11-20 04:20")
    add_run(owner, "queue_dispatch", "2026-11-20", "2026-11-20 09:55")
    add_gateway(owner)
    assert team.watch("2026-11-20 10:00") is None
    assert team.last.counts == (0, 0, 0)
    assert team.last.seen.details == {"problems": 0, "recovered": 0}


def test_a_batch_that_is_switched_off_is_not_watched(owner: psycopg.Connection, team: Team) -> None:
    set_up_batch(owner, "2026-11-19")
    assert team.watch("2026-11-20 09:00") is not None
    owner.execute("update crm.daily_file_setting set active = false")
    # The alert ends without a word: nobody knows whether the batch went out.
    assert team.watch("2026-11-20 10:00") is None
    assert owner.execute("select count(*) from crm.alert where ended_at is null").fetchone() == (0,)


def test_it_works_without_the_erp(owner: psycopg.Connection, team: Team) -> None:
    owner.execute("drop schema erp cascade")
    set_up_batch(owner, "2026-11-19")
    assert team.watch("2026-11-20 09:00") is not None


@pytest.mark.parametrize(
    ("param", "value"),
    [("routine_days", 0), ("margin_minutes", -1), ("still_minutes", "30"), ("still_minutes", 0)],
)
def test_a_wrong_param_is_refused(connection: psycopg.Connection, param: str, value: Any) -> None:
    with pytest.raises(SettingError, match=f"{param} = {value!r}"):
        check_settings(connection, {**PARAMS, param: value})


# -- the file batch ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", [False, True], ids=["unknown", "expected"])
def test_a_day_that_was_not_made_in_time_is_missing(
    owner: psycopg.Connection, team: Team, known: bool
) -> None:
    set_up_batch(owner, "2026-11-19")
    if known:
        add_batch(owner, "2026-11-19", made=False, files=(), error="a carga do ERP não veio")
    assert team.watch(local("2026-11-20 09:00") - dt.timedelta(seconds=1)) is None
    text = team.watch("2026-11-20 09:00")
    assert text is not None
    assert "Lote de arquivos de 19/11/2026 não foi gerado até 20/11/2026 09:00" in text
    assert ("a carga do ERP não veio" in text) == known
    assert commands(text) == [BACKFILL.format("daily_file_batch", "2026-11-19", "2026-11-19")]
    assert team.last.counts == (1, 0, 0)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"files": FEEDS[:3], "delivered": "2026-11-20 05:32"},
            "não tem todos os arquivos; falta: customers",
        ),
        ({}, "foi gerado em 20/11/2026 05:31 e não foi entregue até 20/11/2026 09:00"),
        ({"error": "conexão\nperdida"}, "não foi entregue até 20/11/2026 09:00: conexão perdida"),
        ({"delivered": "2026-11-20 05:32", "verified_at": None}, "não se conferiu o que está no parceiro"),
    ],
    ids=["incomplete", "undelivered", "with an error", "unverified"],
)
def test_a_batch_that_did_not_get_through_is_told_with_the_command(
    owner: psycopg.Connection, team: Team, fields: dict[str, Any], words: str
) -> None:
    set_up_batch(owner, "2026-11-19")
    add_batch(owner, "2026-11-19", **fields)
    text = team.watch("2026-11-20 09:00")
    assert text is not None
    assert words in text
    assert commands(text) == [BACKFILL.format("daily_file_batch", "2026-11-19", "2026-11-19")]


@pytest.mark.parametrize("reached", ["delivered_at", "verified_at"])
def test_one_file_of_four_that_did_not_get_through_is_enough(
    owner: psycopg.Connection, team: Team, reached: str
) -> None:
    set_up_batch(owner, "2026-11-19")
    key = add_batch(owner, "2026-11-19", delivered="2026-11-20 05:32")
    one = f"batch_id = {key} and feed = 'customers'"
    owner.execute(f"update crm.file_batch_file set {reached} = null where {one}".encode())
    assert team.watch("2026-11-20 09:00") is not None


def test_a_batch_that_is_not_acknowledged_in_time_is_told(owner: psycopg.Connection, team: Team) -> None:
    set_up_batch(owner, "2026-11-19", acknowledge_within_hours=4)
    add_batch(owner, "2026-11-19", delivered="2026-11-20 05:32")
    assert team.watch("2026-11-20 09:31") is None
    text = team.watch("2026-11-20 09:32", partner_problem="sftp.example:22: no login within 15 s")
    assert text is not None
    assert "não foi confirmado pelo parceiro em 4 h; o parceiro não responde: sftp.example:22" in text
    assert "ICOMMKT_MANIFEST_ACME_20261119.json.ack" in text
    assert commands(text) == []
    assert "sftp.example:22" in team.last.seen.details["note"]


def test_a_partner_that_acknowledges_nothing_is_not_waited_for(owner: psycopg.Connection, team: Team) -> None:
    set_up_batch(owner, "2026-11-19")
    add_good_batches(owner, "2026-11-19", "2026-11-23")
    assert team.watch("2026-11-24 10:00") is None


def test_a_late_batch_is_told_once(owner: psycopg.Connection, team: Team) -> None:
    set_up_batch(owner, "2026-11-19")
    add_batch(owner, "2026-11-19", delivered="2026-11-20 09:05")
    text = team.watch("2026-11-20 10:00")
    assert text is not None
    assert "saiu com atraso, em 20/11/2026 09:05 (prazo: 20/11/2026 09:00)" in text
    add_batch(owner, "2026-11-20", delivered="2026-11-21 05:32")
    for at in ("2026-11-20 11:00", "2026-11-20 12:00", "2026-11-21 00:00", "2026-11-21 10:00"):
        assert team.watch(at) is None
        assert team.last.counts == (0, 0, 0)


def test_a_late_batch_that_could_not_be_told_is_told_later(owner: psycopg.Connection, team: Team) -> None:
    owner.execute("delete from crm.routine_recipient")
    set_up_batch(owner, "2026-11-19")
    add_batch(owner, "2026-11-19", delivered="2026-11-20 09:05")
    with pytest.raises(SettingError, match=r"crm\.routine_recipient"):
        team.watch("2026-11-20 10:00")
    owner.execute("insert into crm.routine_recipient values ('*', 'operacao@example.com')")
    add_batch(owner, "2026-11-20", delivered="2026-11-21 05:32")
    assert "atraso" in (team.watch("2026-11-21 10:00") or "")
    assert team.watch("2026-11-21 11:00") is None


def test_a_batch_of_which_the_team_was_told_while_it_was_late_is_over_and_not_late_again(
    owner: psycopg.Connection, team: Team
) -> None:
    set_up_batch(owner, "2026-11-19")
    team.watch("2026-11-20 09:00")
    add_batch(owner, "2026-11-19", delivered="2026-11-20 14:10")
    text = team.watch("2026-11-20 15:00")
    assert text is not None
    assert "RESOLVIDO" in text
    assert "Começou em 20/11/2026 09:00, acabou em 20/11/2026 15:00, durou 6 h." in text
    assert "atraso" not in text
    assert team.last.counts == (1, 0, 0)


def test_a_day_with_another_problem_is_not_over(owner: psycopg.Connection, team: Team) -> None:
    set_up_batch(owner, "2026-11-19")
    team.watch("2026-11-20 09:00")
    key = add_batch(owner, "2026-11-19")
    text = team.watch("2026-11-20 10:00")
    assert text is not None
    assert "não foi entregue" in text
    assert "RESOLVIDO" not in text
    done = "delivered_at = clock_timestamp(), verified_at = clock_timestamp()"
    owner.execute(f"update crm.file_batch set {done} where id = {key}".encode())
    owner.execute(f"update crm.file_batch_file set {done} where batch_id = {key}".encode())
    assert "RESOLVIDO" in (team.watch("2026-11-20 11:00") or "")


def test_a_batch_that_was_set_up_a_moment_ago_has_an_hour_to_go_out(
    owner: psycopg.Connection, team: Team
) -> None:
    set_up_batch(owner, "2026-11-18", updated_at=local("2026-11-20 14:00"))
    assert team.watch("2026-11-20 14:59") is None
    assert "acaba de ser configurado" in team.last.seen.details["note"]
    add_batch(owner, "2026-11-19", delivered="2026-11-20 14:05")
    text = team.watch("2026-11-20 15:00")
    assert text is not None
    assert "18/11/2026 não foi gerado" in text
    assert "atraso" not in text
    # Who changes the setup hears nothing of what is not over.
    owner.execute("update crm.daily_file_setting set updated_at = '2026-11-20 15:30-03'")
    assert team.watch("2026-11-20 16:00") is None
    assert team.watch("2026-11-20 17:00") is None
    assert team.last.counts == (0, 1, 0)


def test_a_correction_has_an_hour_to_go_out(owner: psycopg.Connection, team: Team) -> None:
    set_up_batch(owner, "2026-11-19")
    add_batch(owner, "2026-11-19", delivered="2026-11-20 05:32")
    add_batch(owner, "2026-11-19", revision=2, generated_at=local("2026-11-20 15:00"))
    assert team.watch("2026-11-20 15:59") is None
    text = team.watch("2026-11-20 16:00")
    assert text is not None
    assert "Lote de arquivos de 19/11/2026 (correção) foi gerado em 20/11/2026 15:00" in text


def test_a_correction_that_is_not_made_yet_leaves_the_day_as_it_is(
    owner: psycopg.Connection, team: Team
) -> None:
    set_up_batch(owner, "2026-11-19")
    add_batch(owner, "2026-11-19", delivered="2026-11-20 05:32")
    add_batch(owner, "2026-11-19", revision=2, made=False, files=())
    assert team.watch("2026-11-20 16:00") is None


def test_days_that_follow_each_other_make_one_command(owner: psycopg.Connection, team: Team) -> None:
    set_up_batch(owner, "2026-11-10")
    add_good_batches(owner, "2026-11-10", "2026-11-11")
    add_batch(owner, "2026-11-13")  # made, and not delivered
    add_good_batches(owner, "2026-11-15", "2026-11-18")
    text = team.watch("2026-11-20 10:00")
    assert commands(text) == [
        BACKFILL.format("daily_file_batch", "2026-11-12", "2026-11-14"),
        BACKFILL.format("daily_file_batch", "2026-11-19", "2026-11-19"),
    ]
    assert team.last.counts == (4, 0, 0)


def test_the_command_of_a_new_day_takes_those_before_it_along(owner: psycopg.Connection, team: Team) -> None:
    set_up_batch(owner, "2026-11-18")
    team.watch("2026-11-20 00:00")
    text = team.watch("2026-11-20 09:00")
    assert commands(text) == [BACKFILL.format("daily_file_batch", "2026-11-18", "2026-11-19")]
    assert team.last.counts == (1, 1, 0)


def test_of_days_long_ago_it_says_how_many_there_are(owner: psycopg.Connection, team: Team) -> None:
    set_up_batch(owner, "2026-01-01")
    add_good_batches(owner, "2026-01-01", "2026-01-31")
    add_good_batches(owner, "2026-02-03", "2026-03-31")
    add_good_batches(owner, "2026-04-02", "2026-11-19")
    text = team.watch("2026-11-20 10:00")
    assert text is not None
    assert "há mais 3 dias com problema entre 01/02/2026 e 01/04/2026, antes dos últimos 31 dias" in text
    assert commands(text) == [BACKFILL.format("daily_file_batch", "2026-02-01", "2026-02-02")]


def test_a_day_that_gets_too_old_is_told_among_the_older_ones(owner: psycopg.Connection, team: Team) -> None:
    set_up_batch(owner, "2026-10-20")
    add_good_batches(owner, "2026-10-21", "2026-11-20")
    assert "Lote de arquivos de 20/10/2026" in (team.watch("2026-11-20 10:00") or "")
    text = team.watch("2026-11-21 10:00")
    assert text is not None
    assert "há mais 1 dia" in text
    assert "RESOLVIDO" not in text


@pytest.mark.parametrize(
    ("first", "at", "days"),
    [
        ("2028-02-28", "2028-03-02 10:00", ["2028-02-28", "2028-02-29", "2028-03-01"]),
        ("2027-02-27", "2027-03-02 10:00", ["2027-02-27", "2027-02-28", "2027-03-01"]),
        ("2026-12-31", "2027-01-02 10:00", ["2026-12-31", "2027-01-01"]),
        ("2026-11-30", "2026-12-02 08:59", ["2026-11-30"]),
        ("2026-11-20", "2026-11-20 23:59", []),
        ("2027-01-01", "2026-11-20 10:00", []),
    ],
    ids=["leap day", "common year", "year", "before the hour", "the first day itself", "not begun"],
)
def test_every_day_of_the_calendar_is_expected(
    owner: psycopg.Connection, team: Team, first: str, at: str, days: list[str]
) -> None:
    set_up_batch(owner, first)
    team.watch(at)
    found = owner.execute("select subject from crm.alert order by 1").fetchall()
    assert found == [(day,) for day in days]


def test_the_hour_is_that_of_the_wall_clock_when_the_clock_was_put_forward(
    owner: psycopg.Connection, team: Team
) -> None:
    set_up_batch(owner, "2018-11-03")  # summer time began on 4 November 2018, at midnight
    at = dt.datetime(2018, 11, 4, 11, tzinfo=dt.UTC)
    assert team.watch(at - dt.timedelta(seconds=1)) is None
    assert "não foi gerado até 04/11/2018 09:00" in (team.watch(at) or "")


# -- acknowledgements -------------------------------------------------------------------------------------


def test_the_partner_is_asked_about_the_newest_delivered_batch_of_each_day(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    run = open_monitor(connection, local("2026-11-20 10:00"))
    assert partner_to_ask(connection, run) is None
    set_up_batch(owner, "2026-11-15", acknowledge_within_hours=4)
    add_batch(owner, "2026-10-19", delivered="2026-10-20 05:32")  # too long ago
    add_batch(owner, "2026-11-16", delivered="2026-11-17 05:32", acknowledged="2026-11-17 06:00")
    add_batch(owner, "2026-11-17", delivered="2026-11-18 05:32")
    corrected = add_batch(owner, "2026-11-17", revision=2, delivered="2026-11-18 12:00")
    silent = add_batch(owner, "2026-11-18", delivered="2026-11-19 05:32")
    add_batch(owner, "2026-11-19")
    asked = []

    def is_acknowledged(manifest_name: str) -> bool:
        asked.append(manifest_name)
        return "20261117" in manifest_name

    assert partner_to_ask(connection, run) == "daily_files"
    assert note_acknowledgements(connection, run, is_acknowledged) == 1
    assert asked == ["ICOMMKT_MANIFEST_ACME_20261117.json", "ICOMMKT_MANIFEST_ACME_20261118.json"]
    noted = owner.execute(
        "select b.id, count(f.acknowledged_at) from crm.file_batch b join crm.file_batch_file f "
        "on f.batch_id = b.id where b.acknowledged_at is not null and business_date > '2026-11-16' group by 1"
    ).fetchall()
    assert noted == [(corrected, 4)]
    assert partner_to_ask(connection, run) == "daily_files"
    assert note_acknowledgements(connection, run, lambda name: True) == 1
    assert partner_to_ask(connection, run) is None
    owner.execute(f"update crm.file_batch set acknowledged_at = null where id = {silent}".encode())
    owner.execute("update crm.daily_file_setting set acknowledge_within_hours = null")
    assert partner_to_ask(connection, run) is None


def test_what_was_acknowledged_before_the_partner_went_away_stands(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    set_up_batch(owner, "2026-11-17", acknowledge_within_hours=4)
    add_good_batches(owner, "2026-11-17", "2026-11-18")

    def goes_away(manifest_name: str) -> bool:
        if "20261118" in manifest_name:
            raise RotinaError("the connection was lost")
        return True

    with pytest.raises(RotinaError):
        note_acknowledgements(connection, open_monitor(connection, local("2026-11-20 10:00")), goes_away)
    acknowledged = owner.execute("select count(*) from crm.file_batch where acknowledged_at is not null")
    assert acknowledged.fetchone() == (1,)


# -- the daily routines -----------------------------------------------------------------------------------

ROUTINE = "class_transition"  # every day at 04:20


def test_a_new_installation_has_missed_nothing(owner: psycopg.Connection, team: Team) -> None:
    add_run(owner, ROUTINE, "2026-11-20", "2026-11-20 07:00", "failed")  # its hour was before the first run
    assert team.watch("2026-11-20 12:00") is None


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        ([], "não rodou (estava prevista para 20/11/2026 04:20)"),
        ([("failed", "ERP = 'x': missing\nline 2")], "falhou: ERP = 'x': missing line 2"),
        ([("running", None)], "está em execução desde 20/11/2026 04:20 e não termina"),
        ([("succeeded", None)], None),
        ([("skipped", "feriado: x")], None),
        ([("failed", "x"), ("succeeded", None)], None),
        ([("succeeded", None), ("failed", "x")], None),
    ],
    ids=["never", "failed", "running", "succeeded", "skipped", "mended", "again"],
)
def test_a_day_that_no_run_did_is_missed(
    owner: psycopg.Connection, team: Team, runs: list[tuple[str, str | None]], words: str | None
) -> None:
    add_run(owner, ROUTINE, "2026-11-19", "2026-11-19 04:20")
    for status, message in runs:
        add_run(owner, ROUTINE, "2026-11-20", "2026-11-20 04:20", status, message=message)
    assert team.watch("2026-11-20 08:19") is None
    text = team.watch("2026-11-20 08:20")
    if words is None:
        assert text is None
        return
    assert text is not None
    assert "ROTINAS" in text
    assert f"Transição de classes ({ROUTINE}) de 20/11/2026 {words}" in text
    running = ("running", None) in runs
    assert commands(text) == ([] if running else [BACKFILL.format(ROUTINE, "2026-11-20", "2026-11-20")])


@pytest.mark.parametrize("params", [{"dry_run": True}, {"audience": "vips"}, {"profile": "x"}])
def test_a_run_that_does_not_do_the_whole_day_does_not_count(
    owner: psycopg.Connection, team: Team, params: dict[str, Any]
) -> None:
    add_run(owner, ROUTINE, "2026-11-19", "2026-11-19 04:20", params={"dry_run": False, "audience": None})
    add_run(owner, ROUTINE, "2026-11-20", "2026-11-20 07:00", params=params)
    assert "só rodou em parte ou como simulação" in (team.watch("2026-11-20 12:00") or "")


def test_a_run_that_began_a_short_while_ago_may_still_do_the_day(
    owner: psycopg.Connection, team: Team
) -> None:
    add_run(owner, ROUTINE, "2026-11-19", "2026-11-19 04:20")
    add_run(owner, ROUTINE, "2026-11-20", "2026-11-20 04:20", "failed", message="x")
    add_run(owner, ROUTINE, "2026-11-20", "2026-11-20 09:00", "running")
    assert team.watch("2026-11-20 12:59") is None
    assert "em execução desde 20/11/2026 09:00" in (team.watch("2026-11-20 13:00") or "")


def test_missed_days_make_one_command_and_old_ones_are_let_go(owner: psycopg.Connection, team: Team) -> None:
    add_run(owner, ROUTINE, "2026-11-01", "2026-11-01 04:20")
    add_run(owner, ROUTINE, "2026-11-17", "2026-11-17 04:20")
    text = team.watch("2026-11-20 12:00")
    assert commands(text) == [
        BACKFILL.format(ROUTINE, "2026-11-13", "2026-11-16"),
        BACKFILL.format(ROUTINE, "2026-11-18", "2026-11-20"),
    ]
    assert team.last.counts == (7, 0, 0)
    assert team.watch("2026-11-20 13:00", routine_days=2) is None  # nobody says that the others are over
    assert team.last.counts == (0, 3, 0)


def test_each_routine_has_its_own_command(owner: psycopg.Connection, team: Team) -> None:
    for routine in (ROUTINE, "message_archive"):
        add_run(owner, routine, "2026-11-19", "2026-11-19 04:00")
    assert commands(team.watch("2026-11-20 12:00")) == [
        BACKFILL.format(routine, "2026-11-20", "2026-11-20") for routine in (ROUTINE, "message_archive")
    ]


def entry(**changes: Any) -> dict[str, Any]:
    fields = load_agenda().entry(ROUTINE).model_dump()
    return {**fields, "hours": [f"{hour:%H:%M}" for hour in fields["hours"]], **changes}


def use_agenda(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    """Change the entry of the routine in the agenda."""
    others = [one.model_dump() for one in load_agenda().programs if not one.hours]
    agenda = Agenda.model_validate({"programs": [*others, entry(**changes)]})
    monkeypatch.setattr(delivery_monitor, "load_agenda", lambda: agenda)


def test_days_that_the_agenda_leaves_out_are_not_missed_and_do_not_part_a_command(
    owner: psycopg.Connection, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    weekdays = ["monday", "tuesday", "wednesday", "thursday", "friday"]
    use_agenda(monkeypatch, days=weekdays, holidays="skip")
    add_run(owner, ROUTINE, "2026-11-10", "2026-11-10 04:20")
    # The 15th is a Sunday and the 20th a holiday, Consciência Negra.
    text = team.watch("2026-11-23 12:00", routine_days=12)
    assert commands(text) == [BACKFILL.format(ROUTINE, "2026-11-11", "2026-11-23")]
    found = owner.execute("select subject from crm.alert order by 1").fetchall()
    assert [day[-2:] for (day,) in found] == ["11", "12", "13", "16", "17", "18", "19", "23"]


def test_a_routine_without_a_schedule_misses_nothing(
    owner: psycopg.Connection, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_run(owner, ROUTINE, "2026-11-19", "2026-11-19 04:20")
    assert team.watch("2026-11-20 12:00") is not None
    use_agenda(monkeypatch, active=False)
    assert team.watch("2026-11-20 13:00") is None  # nor is anything over
    assert team.last.counts == (0, 0, 0)


def test_the_first_of_several_hours_counts(
    owner: psycopg.Connection, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_agenda(monkeypatch, hours=["16:20", "04:20"])
    add_run(owner, ROUTINE, "2026-11-19", "2026-11-19 04:20")
    assert team.watch("2026-11-20 08:19") is None
    assert team.watch("2026-11-20 08:20") is not None


# -- the message queue ------------------------------------------------------------------------------------

NOON = local("2026-11-24 12:00")  # a Tuesday


def ago(minutes: float) -> dt.datetime:
    return NOON - dt.timedelta(minutes=minutes)


def add_attempt(owner: psycopg.Connection, message_id: int, **fields: Any) -> None:
    values = {"number": 1, "token": 7, "started_at": ago(60), **fields}
    insert(owner, "crm.message_attempt", message_id=message_id, **values)


def add_waiting(owner: psycopg.Connection, gateway_id: int, minutes: float = 30, **fields: Any) -> int:
    """A message that might have gone so many minutes ago."""
    values = {"created_at": ago(1000), "send_after": ago(minutes), **fields}
    return add_message(owner, gateway_id, **values)


@pytest.mark.parametrize("ready", [True, False])
def test_messages_that_might_have_gone_long_ago_are_told(
    owner: psycopg.Connection, team: Team, ready: bool
) -> None:
    gateway = add_gateway(owner, name="Opa!", slow_reason="connection refused", failures=3)
    add_waiting(owner, gateway, ready=ready)
    add_waiting(owner, gateway, 29)
    assert team.watch(ago(0.1)) is None
    text = team.watch(NOON)
    assert text is not None
    assert "FILA DE MENSAGENS" in text
    assert "Fila parada no gateway Opa! (opa): nada saiu em 30 minutos" in text
    assert "há o que enviar desde 24/11/2026 11:30 (1 mensagem)" in text
    assert "connection refused" in text
    assert commands(text) == ["airflow dags trigger queue_dispatch"]


def test_messages_that_wait_for_good_reasons_are_no_problem(owner: psycopg.Connection, team: Team) -> None:
    add_waiting(owner, add_gateway(owner, "later"), -1, ready=False)
    add_waiting(owner, add_gateway(owner, "off", active=False))
    add_waiting(
        owner, add_gateway(owner, "resting", paused_at=ago(60), paused_by="ana", pause_reason="férias")
    )
    closed = add_gateway(owner, "closed", always=False)
    add_window(owner, closed, "tuesday", "11:31", "18:00")
    add_waiting(owner, closed)
    spent = add_gateway(owner, "spent", daily_quota=5)
    owner.execute(
        f"update crm.gateway_usage set used = 5, used_on = '2026-11-24' where gateway_id = {spent}".encode()
    )
    add_waiting(owner, spent)
    busy = add_gateway(owner, "busy")
    add_waiting(owner, busy)
    add_run(owner, "queue_dispatch", "2026-11-24", "2026-11-24 11:50")
    sent = add_message(owner, busy, status="sent", tries=1)
    (run,) = owner.execute("select id from crm.run where routine = 'queue_dispatch'").fetchone() or (0,)
    add_attempt(owner, sent, run_id=run, outcome="accepted", ended_at=ago(8))
    assert team.watch(NOON) is None
    owner.execute("update crm.message_attempt set outcome = 'deferred'")
    assert "gateway busy" in (team.watch(NOON) or "")


def test_a_gateway_that_opened_half_an_hour_ago_is_looked_at(owner: psycopg.Connection, team: Team) -> None:
    gateway = add_gateway(owner, always=False)
    add_window(owner, gateway, "tuesday", "11:30", "18:00")
    add_waiting(owner, gateway, 600)
    assert team.watch(NOON) is not None
    # When it closes nobody says that it is over; on the next day it is told again.
    assert team.watch(local("2026-11-24 18:00")) is None
    assert owner.execute("select count(*) from crm.alert where ended_at is null").fetchone() == (0,)


def test_messages_that_somebody_has_just_put_back_are_given_time(
    owner: psycopg.Connection, connection: psycopg.Connection, team: Team
) -> None:
    now = dt.datetime.now(dt.UTC)
    message = add_message(owner, add_gateway(owner), status="failed", ready=False, send_after=now - 10 * HOUR)
    operations.retry(connection, [message], "ana")
    assert team.watch(now + dt.timedelta(minutes=29)) is None
    assert team.watch(now + dt.timedelta(minutes=31)) is not None


def test_a_gateway_that_was_resumed_is_given_time(
    owner: psycopg.Connection, connection: psycopg.Connection, team: Team
) -> None:
    long_ago = dt.datetime.now(dt.UTC) - 5 * HOUR
    gateway = add_gateway(owner, paused_at=long_ago, paused_by="queue_dispatch", pause_reason="HTTP 401")
    add_message(owner, gateway, created_at=long_ago, send_after=long_ago)
    text = team.watch(long_ago + 5 * HOUR)
    assert text is not None
    assert "GATEWAYS DE MENSAGENS" in text
    assert "O gateway opa (opa) está pausado por erro desde" in text
    assert "HTTP 401" in text
    assert commands(text) == ['rotina.messaging.operations.resume(connection, "opa", login)']
    operations.resume(connection, "opa", "ana")
    text = team.watch(dt.datetime.now(dt.UTC))
    assert text is not None
    assert "RESOLVIDO" in text
    assert "Fila parada" not in text
    assert "Fila parada" in (team.watch(dt.datetime.now(dt.UTC) + HOUR) or "")


def test_a_call_whose_lease_is_long_over_is_told(owner: psycopg.Connection, team: Team) -> None:
    gateway = add_gateway(owner)
    for minutes in (30, 29):
        message = add_message(
            owner, gateway, status="sending", tries=1, lease_token=7, lease_until=ago(minutes)
        )
        add_attempt(owner, message)
    text = team.watch(NOON)
    assert text is not None
    assert "1 mensagem em envio com o prazo vencido, o primeiro em 24/11/2026 11:30" in text


def test_messages_that_wait_for_a_person_are_told_after_a_while(
    owner: psycopg.Connection, team: Team
) -> None:
    gateway = add_gateway(owner)
    for minutes in (30, 30, 29):
        message = add_message(owner, gateway, status="unknown", tries=1)
        add_attempt(owner, message, ended_at=ago(minutes), outcome="maybe_sent")
    text = team.watch(NOON)
    assert text is not None
    assert "não se sabe se saiu o que se tentou enviar desde 24/11/2026 11:30 (2 mensagens)" in text
    assert owner.execute(query_of(owner, text)).rowcount == 3


@pytest.mark.parametrize(
    ("status", "attempt"),
    [
        ("sending", None),
        ("sending", {"ended_at": ago(1), "outcome": "accepted"}),
        ("unknown", None),
        ("unknown", {"started_at": ago(1)}),
    ],
)
def test_messages_and_attempts_that_contradict_each_other_are_told(
    owner: psycopg.Connection, team: Team, status: str, attempt: dict[str, Any] | None
) -> None:
    message = add_message(
        owner, add_gateway(owner), status=status, tries=1, lease_until=ago(-1), created_at=NOON
    )
    if attempt is not None:
        add_attempt(owner, message, **attempt)
    text = team.watch(NOON)
    assert text is not None
    assert "No gateway opa (opa) a situação e as tentativas de envio não combinam (1 mensagem)" in text
    assert owner.execute(query_of(owner, text)).fetchall()[0][0] == message


def test_the_queue_adds_up_with_what_was_archived(owner: psycopg.Connection, team: Team) -> None:
    gateway = add_gateway(owner)
    for status in ("sent", "failed", "cancelled", "expired"):
        add_message(owner, gateway, status=status)
    owner.execute("select crm.add_archive_month(date_trunc('month', now() at time zone 'UTC')::date)")
    columns = "id, gateway_id, dedupe_key, origin, origin_key, recipient, payload, status, created_at"
    owner.execute(
        "with gone as (delete from crm.message where status = 'sent' returning *) "
        f"insert into crm.message_archive ({columns}) select {columns} from gone".encode()
    )
    assert team.watch(NOON) is None


@pytest.mark.parametrize("table", ["message", "message_key"])
def test_a_message_that_is_lost_or_has_no_key_is_told(
    owner: psycopg.Connection, team: Team, table: str
) -> None:
    gateway = add_gateway(owner)
    for _ in range(3):
        add_message(owner, gateway, status="cancelled")
    column = {"message": "id", "message_key": "message_id"}[table]
    owner.execute(
        f"delete from crm.{table} where {column} = (select min({column}) from crm.{table})".encode()
    )
    text = team.watch(NOON)
    assert text is not None
    expected = {
        "message": "3 foram gravadas e a soma por situação é 2 (sumiram: 1; sem chave: 0)",
        "message_key": "2 foram gravadas e a soma por situação é 3 (sumiram: 0; sem chave: 1)",
    }
    assert expected[table] in text
    assert owner.execute(query_of(owner, text)).rowcount == 1


def test_only_the_newest_messages_are_counted(
    owner: psycopg.Connection, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = add_gateway(owner)
    for _ in range(5):
        last = add_message(owner, gateway, status="cancelled")
    owner.execute(f"delete from crm.message where id = {last - 2}".encode())
    monkeypatch.setattr(delivery_monitor, "NEWEST_MESSAGES", 2)
    assert team.watch(NOON) is None
    monkeypatch.setattr(delivery_monitor, "NEWEST_MESSAGES", 3)
    assert team.watch(NOON) is not None


def test_a_dispatch_that_does_not_run_any_more_is_told(owner: psycopg.Connection, team: Team) -> None:
    add_run(owner, "queue_dispatch", "2026-11-24", "2026-11-24 11:30")
    assert team.watch(ago(0.1)) is None
    text = team.watch(NOON)
    assert text is not None
    assert "queue_dispatch não roda desde 24/11/2026 11:30" in text
    assert commands(text) == ["airflow dags unpause queue_dispatch"]
    add_run(owner, "queue_dispatch", "2026-11-24", "2026-11-24 12:55")
    assert "RESOLVIDO" in (team.watch("2026-11-24 13:00") or "")


def test_a_dispatch_that_has_a_day_off_is_not_missed(
    owner: psycopg.Connection, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    agenda = load_agenda().model_dump()
    for program in agenda["programs"]:
        program["hours"] = [f"{hour:%H:%M}" for hour in program["hours"] or ()] or None
        if program["routine"] == "queue_dispatch":
            program["days"] = ["monday"]
    changed = Agenda.model_validate(agenda)
    monkeypatch.setattr(delivery_monitor, "load_agenda", lambda: changed)
    add_run(owner, "queue_dispatch", "2026-11-23", "2026-11-23 11:30")
    assert team.watch(NOON) is None
    assert team.watch(NOON + 6 * DAY) is not None


# -- the commands -----------------------------------------------------------------------------------------

RUN_COMMANDS = """
import json, sys
from airflow.cli.cli_parser import get_parser
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization

bag = DagBag(dag_folder=sys.argv[1])
keys = {}
for command in json.loads(sys.argv[2]):
    arguments = get_parser().parse_args(command.split()[1:])
    assert arguments.max_active_runs == 1 and arguments.reprocess_behavior == "completed"
    dag = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(bag.dags[arguments.dag_id]))
    infos = dag.iter_dagrun_infos_between(arguments.from_date, arguments.to_date)
    keys[dag.dag_id] = [info.partition_key for info in infos]
print(json.dumps(keys))
"""


@pytest.mark.parametrize("zone", ["utc", "America/Sao_Paulo"])
def test_airflow_takes_the_commands_for_exactly_their_days(zone: str) -> None:
    """Airflow's own parser reads the command, and its own backfill lists the runs that it would make."""
    import json
    import os

    entries = {one.routine: one for one in load_agenda().daily()}
    first, last = dt.date(2028, 2, 27), dt.date(2028, 3, 1)
    listed = subprocess.run(
        [
            sys.executable,
            "-c",
            RUN_COMMANDS,
            str(REPOSITORY / "dags"),
            json.dumps([one.backfill_command(first, last) for one in entries.values()]),
        ],
        env={
            **os.environ,
            "AIRFLOW__CORE__DEFAULT_TIMEZONE": zone,
            "PYTHONPATH": str(REPOSITORY / "plugins"),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    days = ["2028-02-27", "2028-02-28", "2028-02-29", "2028-03-01"]
    assert json.loads(listed.stdout.splitlines()[-1]) == dict.fromkeys(entries, days)


@pytest.mark.parametrize("command", ["dags trigger queue_dispatch", "dags unpause queue_dispatch"])
def test_airflow_knows_the_other_commands(command: str) -> None:
    from airflow.cli.cli_parser import get_parser

    assert get_parser().parse_args(command.split()).dag_id == "queue_dispatch"


def test_every_kind_of_problem_has_an_area() -> None:
    source = (REPOSITORY / "plugins/rotina/files/delivery_monitor.py").read_text(encoding="utf-8")
    kinds = set(re.findall(r'"((?:batch|routine|queue|gateway|dispatch)_[a-z]+)"', source))
    assert {"batch_missing", "routine_missed", "dispatch_silent"} <= kinds
    assert {kind.partition("_")[0] for kind in kinds} == set(alerts.AREA_TITLES)
