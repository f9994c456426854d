"""The screen of the runs: what matches, a run with its records, the tab of Airflow, and the exports."""

from __future__ import annotations

import csv
import datetime as dt
import io
import re

import psycopg
import pytest
from httpx import Response

from rotina.console import export
from rotina.console.screens import runs
from rotina.runs.record import Outcome, close_run, record_step
from tests.console.conftest import OpenConsole
from tests.runs_by_hand import open_run

DAY = dt.date(2026, 11, 20)


def add_run(
    connection: psycopg.Connection,
    on: dt.date = DAY,
    status: str = "succeeded",
    routine: str = "class_transition",
    asked_by: str | None = "ana",
    **params: str,
) -> int:
    """A run that skipped one record and failed another."""
    run = open_run(connection, on, routine=routine, program="crm251", asked_by=asked_by, **params)
    outcome = Outcome(5, 3, 0, 1, 1, {"audience": "Clientes"})
    record_step(connection, run.id, "move", outcome)
    close_run(connection, run.id, status, "deu errado" if status == "failed" else None)
    return run.id


def add_items(owner: psycopg.Connection, run_id: int, number: int) -> None:
    """Accounts that were skipped for the want of an address."""
    owner.execute(
        "insert into crm.run_item (run_id, record_kind, record_id, outcome, reason, detail) "
        "select %s, 'account', to_char(n, 'fm0000000'), 'skipped', 'no_email', 'detalhe ' || n "
        "from generate_series(1, %s) as n",
        [run_id, number],
    )


def shown(page: Response) -> list[int]:
    """The runs of a list, in its order."""
    assert page.status_code == 200
    return [int(one) for one in re.findall(r'href="[^"]*/rotina/runs/(\d+)"', page.text)]


def rows(reply: Response) -> list[list[str]]:
    assert reply.headers["content-type"] == "text/csv; charset=utf-8"
    assert reply.content.startswith(b"\xef\xbb\xbf")
    return list(csv.reader(io.StringIO(reply.content.decode("utf-8-sig"))))


# -- the list -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [4, 3, 2, 1]),
        ("routine=birthday_emails", [3]),
        ("status=failed", [2]),
        ("status=nonsense", [4, 3, 2, 1]),
        ("from_on=2026-11-20", [4, 3, 2]),
        ("to_on=2026-11-20", [3, 2, 1]),
        ("from_on=2026-11-20&to_on=2026-11-20", [3, 2]),
        ("from_on=nonsense", [4, 3, 2, 1]),
        ("asked_by=bruno", [4]),
        ("routine=class_transition&status=succeeded", [4, 1]),
        ("routine=nothing", []),
        ("before=3", [2, 1]),
        ("before=nonsense", [4, 3, 2, 1]),
        ("before=99999999999999999999", [4, 3, 2, 1]),
    ],
)
def test_the_list_shows_what_is_asked_for(
    open_console: OpenConsole, connection: psycopg.Connection, query: str, expected: list[int]
) -> None:
    add_run(connection, dt.date(2026, 11, 19))
    add_run(connection, status="failed")
    add_run(connection, routine="birthday_emails")
    add_run(connection, dt.date(2026, 11, 21), asked_by="bruno")
    client = open_console("viewer")
    assert shown(client.get(f"/rotina/runs?{query}")) == expected
    exported = rows(client.get(f"/rotina/runs/export?{query}"))
    if "before" not in query:
        assert [int(one[0]) for one in exported[1:]] == expected


def test_pages_follow_each_other_without_a_gap(
    open_console: OpenConsole, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "PAGE_SIZE", 3)
    for _ in range(7):
        add_run(connection)
    client = open_console("viewer")
    address, seen = "/rotina/runs?routine=class_transition", []
    while address:
        page = client.get(address)
        seen.append(shown(page))
        older = re.search(r'<a class="btn ms-auto" href="([^"]+)"', page.text)
        address = older[1].replace("&amp;", "&") if older else ""
        assert "routine=class_transition" in address or not address
    assert seen == [[7, 6, 5], [4, 3, 2], [1]]


# -- a run --------------------------------------------------------------------------------------------------


def test_a_run_tells_what_came_of_it(
    open_console: OpenConsole, connection: psycopg.Connection, owner: psycopg.Connection
) -> None:
    run_id = add_run(connection, status="failed", template="aniversario")
    add_items(owner, run_id, 1)
    page = open_console("viewer", "pt-BR").get(f"/rotina/runs/{run_id}").text
    text = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    for words in (
        "Transição de classes, 20/11/2026",
        "Falhou",
        "5 selecionados = 3 alterados + 0 inalterados + 1 ignorados + 1 com falha",
        "deu errado",
        "Público Clientes",
        "Parâmetro template aniversario",
        "Passo move concluído",
        "Cliente sem e-mail",
        "Conta 0000001",
        "detalhe 1",
    ):
        assert words in text, words
    english = open_console("viewer").get(f"/rotina/runs/{run_id}").text
    assert "Customer without an e-mail address" in english


def test_the_records_are_filtered_by_reason_and_paged(
    open_console: OpenConsole,
    connection: psycopg.Connection,
    owner: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runs, "PAGE_SIZE", 2)
    run_id = add_run(connection)
    add_items(owner, run_id, 5)
    owner.execute(
        "insert into crm.run_item values (%s, 'invoice', '9', 'failed', 'invalid_invoice', null)", [run_id]
    )
    client = open_console("viewer")

    def records(page: str) -> list[str]:
        return re.findall(r'(?:Account|Invoice)\s+(?:<a href="[^"]+">)?(\d+)(?:</a>)?\s*</td>', page)

    failed = client.get(f"/rotina/runs/{run_id}?outcome=failed&reason=invalid_invoice").text
    assert records(failed) == ["9"]
    address, seen = f"/rotina/runs/{run_id}?reason=no_email", []
    while address:
        page = client.get(address).text
        seen.append(records(page))
        more = re.search(r'<a class="btn ms-auto" href="([^"]+)"', page)
        address = more[1].replace("&amp;", "&") if more else ""
    assert seen == [["0000001", "0000002"], ["0000003", "0000004"], ["0000005"]]


@pytest.mark.parametrize(
    "address", ["runs/1", "runs/99999999999999999999", "runs/1/export", "runs/x", "runs/-1"]
)
def test_a_run_that_is_not_there_is_not_found(open_console: OpenConsole, address: str) -> None:
    reply = open_console("viewer", "pt").get(f"/rotina/{address}", headers={"Accept": "text/html"})
    assert reply.status_code == 404
    assert "Não existe essa página ou esse registro." in reply.text


def test_the_tab_of_airflow_shows_the_newest_attempt(
    open_console: OpenConsole, connection: psycopg.Connection, owner: psycopg.Connection
) -> None:
    first = add_run(connection, status="failed")
    (dag_run_id,) = owner.execute("select dag_run_id from crm.run where id = %s", [first]).fetchone() or ("",)
    owner.execute("update crm.run set dag_run_id = 'a/b +1' where id = %s", [first])
    client = open_console("viewer")
    query = {"dag_id": "class_transition", "dag_run_id": "a/b +1"}
    page = client.get("/rotina/runs/of", params=query)
    assert page.status_code == 200
    assert str(page.url).endswith(f"/runs/{first}?embedded=1")
    assert 'class="navbar' not in page.text  # Airflow's page has one
    missing = client.get("/rotina/runs/of", params={"dag_id": "class_transition", "dag_run_id": dag_run_id})
    assert "This run has no record yet" in missing.text
    assert "This run has no record yet" in client.get("/rotina/runs/of").text


# -- exports ------------------------------------------------------------------------------------------------


def test_the_records_are_exported_with_their_reasons_in_words(
    open_console: OpenConsole, connection: psycopg.Connection, owner: psycopg.Connection
) -> None:
    run_id = add_run(connection)
    add_items(owner, run_id, 2)
    add_items_of = "insert into crm.run_item values (%s, 'invoice', '7', 'failed', 'brand_new', 'x;\"y\"\nz')"
    owner.execute(add_items_of, [run_id])
    client = open_console("viewer", "pt")
    reply = client.get(f"/rotina/runs/{run_id}/export")
    assert f'filename="class_transition-2026-11-20-{run_id}.csv"' in reply.headers["content-disposition"]
    found = rows(reply)
    assert found[0] == [
        "Tipo de registro",
        "Registro",
        "Resultado",
        "Motivo",
        "Motivo por extenso",
        "Detalhe",
    ]
    assert found[1] == ["account", "0000001", "skipped", "no_email", "cliente sem e-mail", "detalhe 1"]
    assert found[3] == ["invoice", "7", "failed", "brand_new", "brand_new", 'x;"y"\nz']
    assert len(rows(client.get(f"/rotina/runs/{run_id}/export?outcome=failed"))) == 2


@pytest.mark.parametrize(
    ("detail", "expected"),
    [
        ("=1+1", "'=1+1"),
        ("@sum(a1)", "'@sum(a1)"),
        ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("-2+3", "'-2+3"),
        ("+5511999990000", "+5511999990000"),
        ("-12.5", "-12.5"),
        ("\t=1", "'\t=1"),
        ("a=1", "a=1"),
    ],
)
def test_a_spreadsheet_finds_no_formula(
    open_console: OpenConsole,
    connection: psycopg.Connection,
    owner: psycopg.Connection,
    detail: str,
    expected: str,
) -> None:
    run_id = add_run(connection)
    owner.execute(
        "insert into crm.run_item values (%s, 'account', '1', 'failed', 'no_email', %s)", [run_id, detail]
    )
    assert rows(open_console("viewer").get(f"/rotina/runs/{run_id}/export"))[1][-1] == expected


def test_many_records_are_exported_whole(
    open_console: OpenConsole, connection: psycopg.Connection, owner: psycopg.Connection
) -> None:
    run_id = add_run(connection)
    add_items(owner, run_id, 20_000)
    found = rows(open_console("viewer").get(f"/rotina/runs/{run_id}/export"))
    assert [one[1] for one in found[1:]] == [f"{number:07}" for number in range(1, 20_001)]


def test_an_export_beyond_the_most_has_to_wait(open_console: OpenConsole) -> None:
    with export.turns.take(), export.turns.take():
        reply = open_console("viewer").get("/rotina/runs/export")
    assert reply.status_code == 503
    assert "Others are at it" in reply.json()["detail"]
    for _ in range(3):  # and a turn is given back
        assert open_console("viewer").get("/rotina/runs/export").status_code == 200
