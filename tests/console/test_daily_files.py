"""The daily files in the console: the month, a day, downloads, days run again, settings."""

from __future__ import annotations

import datetime as dt
import hashlib
import html
import re
from pathlib import Path
from typing import Any

import psycopg
import pytest

from rotina.console import downloads
from rotina.files.batches import DailyFileSettings, find_settings
from rotina.files.spool import SETTING
from rotina.runs.business_date import today_in
from tests.console.conftest import ConsoleClient, OpenConsole
from tests.files.monitor_data import FEEDS, SAO_PAULO, add_batch, add_run, local, set_up_batch
from tests.messaging.queue_data import insert

DAY = "2024-02-29"


@pytest.fixture
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the spool."""
    monkeypatch.setenv(SETTING, str(tmp_path))
    return tmp_path


@pytest.fixture
def user(open_console: OpenConsole) -> ConsoleClient:
    return open_console("user")


def made(owner: psycopg.Connection, spool: Path, day: str = DAY, sequence: int = 7, **fields: Any) -> Path:
    """A batch of a day in the ledger and in the spool; returns its folder."""
    key = add_batch(owner, day, sequence=sequence, **{"delivered": f"{day} 23:00", **fields})
    folder = spool / day.replace("-", "") / str(sequence)
    folder.mkdir(parents=True)
    for number, feed in enumerate(FEEDS):
        content = b"Header\n" + b"a row\n" * number
        (folder / feed).write_bytes(content)
        owner.execute(
            "update crm.file_batch_file set rows = %s, bytes = %s, sha256 = %s "
            "where batch_id = %s and feed = %s",
            [number, len(content), hashlib.sha256(content).hexdigest(), key, feed],
        )
    ((manifest,),) = owner.execute("select manifest_name from crm.file_batch where id = %s", [key])
    (folder / manifest).write_bytes(b"{}\n")
    owner.execute(
        "update crm.file_batch set manifest_sha256 = %s where id = %s",
        [hashlib.sha256(b"{}\n").hexdigest(), key],
    )
    return folder


def text_of(page: str) -> str:
    """What of a page is read: without tags and doubled blanks."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", page)))


def month(client: ConsoleClient, asked: str) -> str:
    reply = client.get(f"/rotina/files?month={asked}")
    assert reply.status_code == 200, reply.text[:300]
    return reply.text


def row(page: str, day: str) -> str:
    """What the calendar says of a day."""
    found = re.search(rf'<tr data-day="{day}".*?</tr>', page, re.DOTALL)
    assert found, day
    return text_of(found[0])


def audit(owner: psycopg.Connection) -> list[tuple[str, str, dict[str, Any]]]:
    return owner.execute("select login, action, target from crm.audit_entry order by id").fetchall()


# -- the calendar -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "language", "words"),
    [
        ("viewer", "en", "not set up yet. It needs to know how the partner calls you"),
        ("op", "pt-BR", "ainda não está configurado."),
    ],
)
def test_before_it_is_set_up_it_says_where_to(
    open_console: OpenConsole, role: str, language: str, words: str
) -> None:
    page = open_console(role, language).get("/rotina/files").text
    assert words in text_of(page)
    assert ("Set it up" in page or "Configurar</a>" in page) == (role == "op")
    assert open_console(role).get(f"/rotina/files/days/{DAY}").status_code == 404


def test_a_month_has_its_days_the_newest_first(owner: psycopg.Connection, user: ConsoleClient) -> None:
    set_up_batch(owner, "2024-01-20")
    page = month(user, "2024-02")
    days = re.findall(r'<tr data-day="([^"]*)"', page)
    assert (days[0], days[-1], len(days)) == ("2024-02-29", "2024-02-01", 29)
    assert days == sorted(days, reverse=True)
    assert "February 2024" in page
    assert 'href="?month=2024-01"' in page
    assert 'href="?month=2024-03"' in page
    first = month(user, "2024-01")
    assert re.findall(r'<tr data-day="([^"]*)"', first)[-1] == "2024-01-20"
    assert "month=2023-12" not in first


def test_the_newest_month_ends_yesterday(owner: psycopg.Connection, user: ConsoleClient) -> None:
    set_up_batch(owner, "2024-01-20")
    yesterday = today_in(SAO_PAULO) - dt.timedelta(days=1)
    for asked in ("", "2023-12", "2199-01", "nonsense", "2024-13"):
        page = month(user, asked)
        assert re.findall(r'<tr data-day="([^"]*)"', page)[0] == str(yesterday)
        assert f"month={yesterday + dt.timedelta(days=31):%Y-%m}" not in page


def test_a_first_day_to_come_is_told(owner: psycopg.Connection, user: ConsoleClient) -> None:
    set_up_batch(owner, str(today_in(SAO_PAULO)))
    page = text_of(user.get("/rotina/files").text)
    assert "The partner expects batches from" in page
    assert "0 Missing" in page


def test_the_cells_say_how_each_file_stands(
    owner: psycopg.Connection, spool: Path, open_console: OpenConsole
) -> None:
    set_up_batch(owner, "2024-02-26", acknowledge_within_hours=4)
    made(owner, spool, "2024-02-26", 40, delivered="2024-02-27 06:10", acknowledged="2024-02-27 07:00")
    made(owner, spool, "2024-02-27", 41, delivered="2024-02-28 09:30")
    owner.execute(
        "update crm.file_batch_file set rows = 0 where batch_id = (select max(id) from crm.file_batch)"
    )
    made(owner, spool, "2024-02-28", 42, delivered=None, error="the server cannot be reached")
    add_run(owner, "daily_file_batch", DAY, "2024-03-01 05:30", status="failed")
    page = month(open_console("viewer"), "2024-02")
    assert re.search(
        "26 Feb 2024 Mon Complete Empty header only 1 row 13 B 2 rows 19 B 3 rows 25 B No. 40 "
        "Delivered and verified 27 Feb 2024 06:10 acknowledged 27 Feb 2024 07:00",
        row(page, "2024-02-26"),
    )
    assert re.search(
        "27 Feb 2024 Tue Empty( Empty header only){4} No. 41 Delivered late, verified 28 Feb 2024 09:30, "
        "was due 28 Feb 2024 09:00 no acknowledgement since 28 Feb 2024 13:30",
        row(page, "2024-02-27"),
    )
    assert re.search(
        "28 Feb 2024 Wed Late .* No. 42 Made, not sent was due 29 Feb 2024 09:00 the server cannot",
        row(page, "2024-02-28"),
    )
    assert re.search(
        "29 Feb 2024 Thu Missing its run failed( Missing){5} was due 1 Mar 2024 09:00", row(page, DAY)
    )
    for state, number in (("complete", 1), ("empty", 1), ("late", 1), ("missing", 1)):
        assert re.search(rf'data-count="{state}"><b>{number}</b>', page)
    portuguese = month(open_console("viewer", "pt-BR"), "2024-02")
    assert "29/02/2024 qui Faltando a execução falhou" in row(portuguese, DAY)
    assert "fevereiro de 2024" in portuguese


def test_a_correction_says_what_it_corrects(
    owner: psycopg.Connection, spool: Path, user: ConsoleClient
) -> None:
    set_up_batch(owner, DAY)
    made(owner, spool, sequence=7)
    changed = {"orders": {"rows": [5, 6], "bytes": [50, 60], "added": 2, "removed": 1}}
    made(owner, spool, sequence=9, revision=2, differences=changed)
    assert "No. 9 corrects No. 7" in row(month(user, "2024-02"), DAY)
    page = user.get(f"/rotina/files/days/{DAY}").text
    assert page.index("Batch No. 9") < page.index("Batch No. 7")
    text = text_of(page)
    assert "Batch No. 9 correction of No. 7" in text
    assert "Changed: Orders 5 rows before, 6 now; 2 lines came, 1 went" in text


# -- a day --------------------------------------------------------------------------------------------------


def test_the_page_of_a_day_is_its_proof(
    owner: psycopg.Connection, spool: Path, open_console: OpenConsole
) -> None:
    set_up_batch(owner, DAY)
    add_run(owner, "daily_file_batch", DAY, "2024-03-01 05:30", run_type="scheduled")
    ((run, dag_run_id),) = owner.execute("select id, dag_run_id from crm.run")
    folder = made(owner, spool, delivered="2024-03-01 05:31", run_id=run)
    page = open_console("viewer").get(f"/rotina/files/days/{DAY}").text
    text = text_of(page)
    for feed in FEEDS:
        assert hashlib.sha256((folder / feed).read_bytes()).hexdigest() in text
    assert "Files of 29 Feb 2024" in text
    assert "All files and the manifest at the partner 1 Mar 2024 05:31" in text
    assert "Read again there, and equal 1 Mar 2024 05:31" in text
    assert "Acknowledged by the partner" not in text  # this one acknowledges nothing
    assert f"/rotina/runs/{run}" in page
    assert f"/dags/daily_file_batch/runs/{dag_run_id}" in page
    assert "Download" not in text  # nor may a viewer run it
    assert "Run this day" not in text
    assert open_console("user").get(f"/rotina/files/days/{DAY}").text.count("/batches/7/") == 5


def test_the_page_of_a_missing_day_says_what_the_monitor_told(
    owner: psycopg.Connection, user: ConsoleClient
) -> None:
    set_up_batch(owner, DAY)
    at = local("2024-03-01 10:00")
    told = {"raised_on": "2024-03-01", "raised_at": at, "began_at": at}
    told |= {"remedy": "Rode:", "command": "airflow backfill create …"}
    insert(owner, "crm.alert", problem="batch_missing", subject=DAY, message="O lote não foi gerado", **told)
    insert(owner, "crm.alert", problem="batch_missing", subject="2024-02-28", message="Outro dia", **told)
    over = {**told, "raised_on": "2024-03-02", "ended_at": local("2024-03-02 10:00")}
    insert(owner, "crm.alert", problem="batch_late", subject=DAY, message="Passou", **over)
    text = text_of(user.get(f"/rotina/files/days/{DAY}").text)
    assert "O lote não foi gerado Rode: airflow backfill create …" in text
    assert "Outro dia" not in text
    assert "Passou" not in text
    assert "There is no batch of this day yet." in text


@pytest.mark.parametrize("day", ["2024-02-28", "2024-02-30", "9999-12-31", "x", "today"])
def test_a_day_that_is_none_of_the_batch_has_no_page(
    owner: psycopg.Connection, user: ConsoleClient, day: str
) -> None:
    set_up_batch(owner, DAY)
    asked = str(today_in(SAO_PAULO)) if day == "today" else day
    assert user.get(f"/rotina/files/days/{asked}").status_code == 404


# -- downloads ----------------------------------------------------------------------------------------------


def test_a_file_is_downloaded_as_it_was_made_and_that_is_noted(
    owner: psycopg.Connection, spool: Path, user: ConsoleClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "_PIECE", 8)  # several pieces
    set_up_batch(owner, DAY)
    folder = made(owner, spool)
    reply = user.get("/rotina/files/batches/7/customers")
    assert reply.content == (folder / "customers").read_bytes()
    assert reply.headers["content-disposition"] == 'attachment; filename="customers"'
    assert int(reply.headers["content-length"]) == len(reply.content)
    assert reply.headers["x-content-type-options"] == "nosniff"
    manifest = user.get("/rotina/files/batches/7/manifest")
    assert (manifest.content, "ICOMMKT_MANIFEST" in manifest.headers["content-disposition"]) == (
        b"{}\n",
        True,
    )
    assert [(login, action, target["file"]) for login, action, target in audit(owner)] == [
        ("user", "download_file", "customers"),
        ("user", "download_file", "ICOMMKT_MANIFEST_ACME_20240229.json"),
    ]


def test_a_download_that_has_to_wait_is_none_in_the_audit_log(
    owner: psycopg.Connection, spool: Path, user: ConsoleClient
) -> None:
    set_up_batch(owner, DAY)
    made(owner, spool)
    with downloads.turns.take(), downloads.turns.take():
        assert user.get("/rotina/files/batches/7/orders").status_code == 503
    assert audit(owner) == []
    assert user.get("/rotina/files/batches/7/orders").status_code == 200
    assert len(audit(owner)) == 1


def test_who_only_reads_downloads_nothing(
    owner: psycopg.Connection, spool: Path, open_console: OpenConsole
) -> None:
    set_up_batch(owner, DAY)
    made(owner, spool)
    assert open_console("viewer").get("/rotina/files/batches/7/orders").status_code == 403
    assert audit(owner) == []


def test_what_is_not_in_the_ledger_cannot_be_downloaded(
    owner: psycopg.Connection, spool: Path, user: ConsoleClient
) -> None:
    set_up_batch(owner, DAY)
    folder = made(owner, spool)
    (folder / "secret").write_text("x")
    for path in ("8/orders", "7/secret", "7/..%2F..%2Fsecret", f"{2**63}/orders", "7/", "7/orders/x"):
        assert user.get(f"/rotina/files/batches/{path}").status_code == 404, path


@pytest.mark.parametrize("name", ["../8/orders", "/etc/passwd", "..", "", 'a"b', "a\nb", "link"])
def test_a_name_that_leads_elsewhere_is_refused(
    owner: psycopg.Connection, spool: Path, user: ConsoleClient, name: str
) -> None:
    """Whoever may write into the ledger cannot read this server's files by it."""
    set_up_batch(owner, DAY)
    folder = made(owner, spool)
    (folder.parent / "8").mkdir()
    (folder.parent / "8" / "orders").write_bytes(b"x")
    (folder / "link").symlink_to("../8/orders")
    digest = hashlib.sha256(b"x").hexdigest()
    owner.execute(
        "update crm.file_batch_file set name = %s, sha256 = %s, bytes = 1 where feed = 'orders'",
        [name, digest],
    )
    assert user.get("/rotina/files/batches/7/orders").status_code == 422
    assert user.get(f"/rotina/files/days/{DAY}").status_code == 200
    assert audit(owner) == []


def test_what_is_gone_or_another_is_not_sent(
    owner: psycopg.Connection, spool: Path, user: ConsoleClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up_batch(owner, DAY)
    folder = made(owner, spool)
    (folder / "orders").unlink()
    (folder / "orders_detail").write_bytes(b"HEADER\na row\n")  # as long as before
    (folder / "customers").write_bytes(b"")
    page = user.get(f"/rotina/files/days/{DAY}").text
    assert page.count("not in the spool as it was made") == 2
    gone = user.get("/rotina/files/batches/7/orders", headers={"Accept": "text/html"})
    assert (gone.status_code, "orders is not in the spool any more" in gone.text) == (422, True)
    other = user.get("/rotina/files/batches/7/orders_detail").json()
    assert "its SHA-256 is not that of the ledger" in other["detail"]
    monkeypatch.delenv(SETTING)
    assert SETTING in user.get("/rotina/files/batches/7/customers").json()["detail"]
    assert "this server does not see the spool" in user.get(f"/rotina/files/days/{DAY}").text
    assert audit(owner) == []


# -- days run again -----------------------------------------------------------------------------------------


def backfill(client: ConsoleClient, first: str, last: str) -> Any:
    return client.post_json("/rotina/files/backfill", {"from_on": first, "to_on": last})


def partition_keys(client: ConsoleClient) -> list[tuple[str, str]]:
    runs = client.get("/api/v2/dags/daily_file_batch/dagRuns").json()["dag_runs"]
    return sorted((run["partition_key"], run["triggering_user_name"]) for run in runs)


def test_the_dialog_says_what_will_happen(
    owner: psycopg.Connection, spool: Path, user: ConsoleClient
) -> None:
    set_up_batch(owner, "2024-02-26")
    made(owner, spool, "2024-02-28", 1)
    reply = user.get("/rotina/files/backfill?from_on=2024-02-28&to_on=2024-03-01")
    text = text_of(reply.text)
    assert (
        "3 days are run, one after the other: 28 Feb 2024 Complete 29 Feb 2024 Missing 1 Mar 2024 Missing"
        in text
    )
    assert "when nothing changed, nothing is sent" in text
    assert "earlier days are not delivered: from 26 Feb 2024 to 27 Feb 2024" in text
    assert partition_keys(user) == []
    assert audit(owner) == []


def test_days_are_run_by_one_backfill_as_whoever_asks(owner: psycopg.Connection, user: ConsoleClient) -> None:
    set_up_batch(owner, "2024-02-01")
    page = month(user, "2024-02")
    assert "Run 29 days that are missing or late" in page
    assert 'data-from="2024-02-01" data-to="2024-02-29"' in page
    reply = backfill(user, "2024-02-28", "2024-03-01")
    assert reply.json()["message"] == (
        "Asked for: the days from 28 Feb 2024 to 1 Mar 2024, one after the other."
    )
    assert partition_keys(user) == [(day, "user") for day in ("2024-02-28", "2024-02-29", "2024-03-01")]
    (asked,) = user.get("/api/v2/backfills?dag_id=daily_file_batch").json()["backfills"]
    assert (asked["max_active_runs"], asked["reprocess_behavior"]) == (1, "completed")
    assert audit(owner) == [
        (
            "user",
            "ask_for_backfill",
            {"routine": "daily_file_batch", "from": "2024-02-28", "to": "2024-03-01"},
        )
    ]

    # What is at work is not asked for again, and the page tells how it fares.
    again = backfill(user, "2024-02-01", "2024-02-01")
    assert again.status_code == 409
    assert len(audit(owner)) == 1
    plan = text_of(user.get("/rotina/files/backfill?from_on=2024-02-27&to_on=2024-02-28").text)
    assert "one backfill of a routine at a time" in plan
    assert "1 day is run: 27 Feb 2024 Missing 28 Feb 2024 is left out" in plan
    now = dt.datetime.now(SAO_PAULO) + dt.timedelta(minutes=1)
    add_run(owner, "daily_file_batch", "2024-02-28", f"{now:%Y-%m-%d %H:%M}", run_type="backfill")
    add_run(owner, "daily_file_batch", DAY, f"{now:%Y-%m-%d %H:%M}", status="failed", run_type="backfill")
    add_run(owner, "daily_file_batch", "2024-03-01", "2024-03-02 05:30", run_type="backfill")  # of long ago
    progress = (
        "A backfill of the days from 28 Feb 2024 to 1 Mar 2024 is not over: 1 of 3 went well , 1 failed"
    )
    assert progress in text_of(user.get("/rotina/files/progress").text)
    assert progress in text_of(month(user, "2024-02"))


def test_who_only_reads_runs_nothing(owner: psycopg.Connection, open_console: OpenConsole) -> None:
    set_up_batch(owner, "2024-02-01")
    viewer = open_console("viewer")
    assert "data-backfill=" not in month(viewer, "2024-02")
    assert backfill(viewer, DAY, DAY).status_code == 403
    assert viewer.get(f"/rotina/files/backfill?from_on={DAY}&to_on={DAY}").status_code == 403
    assert viewer.get("/rotina/files/progress").text.strip() == ""
    for role in ("op", "admin"):
        assert "data-backfill=" in month(open_console(role), "2024-02")


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        ("2024-02-28", "2024-02-27", "lies before the first"),
        ("2024-02-25", "2024-02-27", "lies before the first that the partner expects, 26 Feb 2024"),
        ("2024-02-26", "today", "is not over"),
        ("2024-02-26", "2024-06-05", "are more than 100"),
    ],
)
def test_days_that_cannot_be_run_are_refused(
    owner: psycopg.Connection, user: ConsoleClient, first: str, last: str, words: str
) -> None:
    set_up_batch(owner, "2024-02-26")
    last = str(today_in(SAO_PAULO)) if last == "today" else last
    assert words in backfill(user, first, last).json()["detail"]
    assert words in user.get(f"/rotina/files/backfill?from_on={first}&to_on={last}").json()["detail"]
    assert user.get("/rotina/files/backfill?from_on=x").status_code == 422
    assert (partition_keys(user), audit(owner)) == ([], [])


def test_a_batch_that_is_off_is_not_run(owner: psycopg.Connection, user: ConsoleClient) -> None:
    set_up_batch(owner, DAY, active=False)
    page = month(user, "2024-02")
    assert "The daily file batch is switched off" in page
    assert "Not expected" in row(page, DAY)
    assert "data-backfill=" not in page
    assert "switched off" in backfill(user, DAY, DAY).json()["detail"]


# -- settings -----------------------------------------------------------------------------------------------

FORM = {
    "instance_id": "LOJA-1",
    "first_business_date": "2026-11-20",
    "due_at": "08:30",
    "connection_id": "daily_files",
    "acknowledge_within_hours": None,
    "active": True,
}


def test_the_settings_are_saved_and_shown(owner: psycopg.Connection, open_console: OpenConsole) -> None:
    op = open_console("op")
    assert op.post_json("/rotina/file-settings/save", FORM).status_code == 200
    assert find_settings(owner) == DailyFileSettings("LOJA-1", dt.date(2026, 11, 20), dt.time(8, 30))
    changed = {**FORM, "acknowledge_within_hours": 4, "active": False}
    assert op.post_json("/rotina/file-settings/save", changed).status_code == 200
    page = open_console("viewer").get("/rotina/file-settings").text
    for value in ("LOJA-1", "2026-11-20", "08:30", "daily_files", "4"):
        assert f'value="{value}"' in page
    assert 'name="active" disabled' in page
    assert 'type="submit"' not in page
    assert "Set by op" in page
    assert [(login, action) for login, action, _ in audit(owner)] == [("op", "save_daily_file_settings")] * 2


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("instance_id", "LOJA 1"),
        ("instance_id", None),
        ("first_business_date", "20/11/2026"),
        ("due_at", "25:00"),
        ("due_at", "09:00Z"),
        ("connection_id", " "),
        ("acknowledge_within_hours", 0),
        ("acknowledge_within_hours", 721),
    ],
)
def test_a_wrong_setting_is_refused_by_name(
    owner: psycopg.Connection, open_console: OpenConsole, field: str, value: Any
) -> None:
    reply = open_console("op").post_json("/rotina/file-settings/save", {**FORM, field: value})
    assert (reply.status_code, field in reply.json()["detail"]) == (422, True)
    assert find_settings(owner) is None


def test_who_acts_does_not_set(owner: psycopg.Connection, user: ConsoleClient) -> None:
    assert user.post_json("/rotina/file-settings/save", FORM).status_code == 403
    assert find_settings(owner) is None
