"""Enqueueing: what is written, what is refused and why, and that nothing is ever written twice."""

from __future__ import annotations

import datetime as dt
import threading
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import sql
from psycopg.types.json import Jsonb

from rotina.messaging import outbox
from rotina.messaging.unsubscribe import unsubscribe
from rotina.runs.record import Outcome, Run
from rotina.runs.summary import REASON_TITLES
from rotina.sql import statement
from tests.examples import examples
from tests.messaging.queue_data import add_gateway, add_message, add_template, insert, messages
from tests.runs_by_hand import counts, open_run

DAY = "2026-11-18"
NOW = dt.datetime(2026, 11, 18, 11, tzinfo=dt.UTC)
PHONE = "+5511999990000"


def wanted(template_id: int | None, key: str = "1", **fields: Any) -> dict[str, Any]:
    """A row of `outgoing` that can be written, unless the fields say otherwise."""
    return {
        "record_kind": "receivable",
        "record_id": key,
        "record_name": f"T-{key}",
        "dedupe_key": f"test:{key}",
        "origin_key": key,
        "template_id": template_id,
        "variables": ["Ana", "129,90", "20/11/2026"],
        "recipient": PHONE,
        **fields,
    }


def email(gateway_id: int, key: str = "1", **fields: Any) -> dict[str, Any]:
    """A row of `outgoing` for an e-mail."""
    content = {"gateway_id": gateway_id, "payload": {"subject": "Oi", "text": "Olá"}, "payload_bytes": 31}
    return wanted(None, key, **{"variables": None, "recipient": "ana@example.com", **content, **fields})


def fill(connection: psycopg.Connection, rows: list[dict[str, Any]]) -> None:
    """Open `outgoing` and fill it, as a producer does with a statement of its own."""
    outbox.open_outgoing(connection)
    for row in rows:
        values = [Jsonb(value) if isinstance(value, dict) else value for value in row.values()]
        connection.execute(
            sql.SQL("insert into outgoing ({}) values ({})").format(
                sql.SQL(", ").join(map(sql.Identifier, row)),
                sql.SQL(", ").join([sql.Placeholder()] * len(row)),
            ),
            values,
        )


def enqueue(
    connection: psycopg.Connection,
    *rows: dict[str, Any],
    now: dt.datetime | None = NOW,
    dry_run: bool = False,
    list_unwritten: bool = False,
) -> tuple[Run, Outcome]:
    run = open_run(connection, DAY, routine="billing_messages", program="crm_cobranca")
    with connection.transaction():
        fill(connection, list(rows))
        return run, outbox.enqueue(connection, run, now=now, dry_run=dry_run, list_unwritten=list_unwritten)


def items(connection: psycopg.Connection, run: Run) -> list[tuple[Any, ...]]:
    return connection.execute(
        "select record_id, outcome, reason, detail from crm.run_item where run_id = %s order by 1", [run.id]
    ).fetchall()


def test_a_message_is_written_whole(
    owner: psycopg.Connection, connection: psycopg.Connection, gateway: int, template: int
) -> None:
    until = NOW + dt.timedelta(days=1)
    run, outcome = enqueue(
        connection,
        wanted(
            template,
            "7",
            recipient_name="Ana Souza",
            account_id=1,
            customer_id=2,
            receivable_id=3,
            due_on=dt.date(2026, 11, 20),
            priority=2,
            expires_at=until,
        ),
    )
    assert counts(outcome) == (1, 1, 0, 0, 0)
    (message,) = messages(owner)
    written = {
        "gateway_id": gateway,
        "template_id": template,
        "dedupe_key": "test:7",
        "origin": "billing_messages",
        "origin_key": "7",
        "account_id": 1,
        "customer_id": 2,
        "receivable_id": 3,
        "due_on": dt.date(2026, 11, 20),
        "recipient": PHONE,
        "recipient_name": "Ana Souza",
        "payload": {"template": "gw-cobranca", "variables": ["Ana", "129,90", "20/11/2026"]},
        "priority": 2,
        "position": 0,
        "status": "waiting",
        "ready": True,
        "send_after": NOW,
        "expires_at": until,
        "run_id": run.id,
        "tries": 0,
        "attempts": 0,
    }
    assert {name: message[name] for name in written} == written
    keys = owner.execute("select dedupe_key, message_id from crm.message_key").fetchall()
    assert keys == [("test:7", message["id"])]
    assert items(connection, run) == []


def test_ids_come_from_the_sequence_of_the_table(
    owner: psycopg.Connection, connection: psycopg.Connection, gateway: int, template: int
) -> None:
    enqueue(connection, wanted(template, "1"), wanted(template, "2"))
    add_message(owner, gateway)  # takes the next id by itself
    assert len({message["id"] for message in messages(owner)}) == 3


def test_an_email_is_written_with_its_payload(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    gateway = add_gateway(owner, "mail", kind="smtp")
    _, outcome = enqueue(connection, email(gateway, recipient=" Ana.Souza+a@Example.COM "))
    assert outcome.changed == 1
    (message,) = messages(owner)
    assert (message["gateway_id"], message["template_id"]) == (gateway, None)
    assert message["recipient"] == "ana.souza+a@example.com"
    assert message["payload"] == {"subject": "Oi", "text": "Olá"}


def test_a_message_for_later_is_not_ready(
    owner: psycopg.Connection, connection: psycopg.Connection, template: int
) -> None:
    later = NOW + dt.timedelta(seconds=1)
    enqueue(connection, wanted(template, "1", send_after=NOW), wanted(template, "2", send_after=later))
    assert {
        message["origin_key"]: (message["send_after"], message["ready"]) for message in messages(owner)
    } == {
        "1": (NOW, True),
        "2": (later, False),
    }


def test_the_clock_of_the_database_counts_unless_told_otherwise(
    owner: psycopg.Connection, connection: psycopg.Connection, template: int
) -> None:
    past = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    future = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    _, outcome = enqueue(
        connection,
        wanted(template, "1", expires_at=past),
        wanted(template, "2", expires_at=future),
        wanted(template, "3", send_after=future),
        now=None,
    )
    assert counts(outcome) == (3, 2, 0, 1, 0)
    written = {message["origin_key"]: message for message in messages(owner)}
    assert written["2"]["ready"]
    assert written["2"]["send_after"] == written["2"]["created_at"]
    assert not written["3"]["ready"]


REFUSED: dict[str, tuple[dict[str, Any], str, str, str | None]] = {
    "no phone": ({"recipient": None}, "skipped", "no_phone", "T-1"),
    "blank phone": ({"recipient": "  "}, "skipped", "no_phone", "T-1"),
    "national number": ({"recipient": "11999990000"}, "failed", "invalid_phone", "T-1: …0000"),
    "no country begins with zero": ({"recipient": "+0511999990000"}, "failed", "invalid_phone", "T-1: …0000"),
    "with blanks": ({"recipient": "+55 11 99999-1234"}, "failed", "invalid_phone", "T-1: …1234"),
    "too short": ({"recipient": "+5511999"}, "failed", "invalid_phone", "T-1: …1999"),
    "too long": ({"recipient": "+5511999990000123"}, "failed", "invalid_phone", "T-1: …0123"),
    "more after a line break": ({"recipient": PHONE + "\n1"}, "failed", "invalid_phone", "T-1: …00\n1"),
    "null variable": ({"variables": ["Ana", None, "x"]}, "failed", "missing_variable", "T-1: value"),
    "blank variable": ({"variables": ["Ana", "1", " \t"]}, "failed", "missing_variable", "T-1: due_on"),
    "variable left out": ({"variables": ["Ana", "1"]}, "failed", "wrong_variables", "T-1: 2 em vez de 3"),
    "no variable": ({"variables": []}, "failed", "wrong_variables", "T-1: 0 em vez de 3"),
    "one more": ({"variables": ["a", "b", "c", "d"]}, "failed", "wrong_variables", "T-1: 4 em vez de 3"),
    "expired": ({"expires_at": NOW}, "skipped", "too_late", "T-1"),
    "refused by its producer": (
        {"outcome": "skipped", "reason": "dunning_exception", "detail": "até amanhã", "recipient": None},
        "skipped",
        "dunning_exception",
        "T-1: até amanhã",
    ),
    "no name": ({"record_name": None, "recipient": None}, "skipped", "no_phone", None),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_named_and_stops_nobody(
    owner: psycopg.Connection, connection: psycopg.Connection, template: int, case: str
) -> None:
    fields, outcome, reason, detail = REFUSED[case]
    run, done = enqueue(connection, wanted(template, "1", **fields), wanted(template, "2"))
    skipped = int(outcome == "skipped")
    assert counts(done) == (2, 1, 0, skipped, 1 - skipped)
    assert items(connection, run) == [("1", outcome, reason, detail)]
    assert [message["origin_key"] for message in messages(owner)] == ["2"]
    # what is mended is written by the next run
    _, done = enqueue(connection, wanted(template, "1"), wanted(template, "2"))
    assert counts(done) == (2, 1, 1, 0, 0)


@pytest.mark.parametrize(
    ("recipient", "outcome", "reason"),
    [
        (None, "skipped", "no_email"),
        ("", "skipped", "no_email"),
        ("ana", "failed", "invalid_email"),
        ("ana@example", "failed", "invalid_email"),
        ("ana souza@example.com", "failed", "invalid_email"),
        ("Ana <ana@example.com>", "failed", "invalid_email"),
        ("ana@example.com, eva@example.com", "failed", "invalid_email"),
        ("ana@example.com\nBcc: eva@example.com", "failed", "invalid_email"),
        ("josé@example.com", "failed", "invalid_email"),
        ("ana@" + "ã" * 70 + ".example", "failed", "invalid_email"),
        ("ana@ação..example", "failed", "invalid_email"),
        ("a" * 250 + "@example.com", "failed", "invalid_email"),
    ],
)
def test_wrong_email_addresses_are_refused(
    owner: psycopg.Connection,
    connection: psycopg.Connection,
    recipient: str | None,
    outcome: str,
    reason: str,
) -> None:
    gateway = add_gateway(owner, "mail", kind="smtp")
    run, _ = enqueue(connection, email(gateway, recipient=recipient), email(gateway, "2"))
    assert items(connection, run) == [("1", outcome, reason, "T-1")]
    assert [message["origin_key"] for message in messages(owner)] == ["2"]


def test_who_opted_out_gets_no_message(owner: psycopg.Connection, connection: psycopg.Connection) -> None:
    phone, mail = add_gateway(owner, "opa"), add_gateway(owner, "mail", kind="smtp")
    template = add_template(owner, phone)
    for channel, address in (("phone", PHONE), ("email", "ana@example.com"), ("email", "+5511999990001")):
        insert(owner, "crm.suppression", channel=channel, address=address, reason="pediu", source="console")
    run, outcome = enqueue(
        connection,
        wanted(template, "1", recipient=f" {PHONE}"),
        wanted(template, "2", recipient="+5511999990001"),  # suppressed for the other channel only
        email(mail, "3", recipient="ANA@example.com"),
        email(mail, "4", recipient="eva@example.com"),
    )
    assert counts(outcome) == (4, 2, 0, 2, 0)
    assert items(connection, run) == [
        ("1", "skipped", "opted_out", "T-1"),
        ("3", "skipped", "opted_out", "T-3"),
    ]


@pytest.mark.parametrize("suppressed", ["ana@ação.example", "Ana@AÇÃO.example", "ana@xn--ao-siap.example"])
def test_a_mailbox_is_suppressed_in_every_spelling(
    owner: psycopg.Connection, connection: psycopg.Connection, suppressed: str
) -> None:
    mail = add_gateway(owner, "mail", kind="smtp")
    spellings = [" Ana@Ação.Example", "ana@AÇÃO.example", "ANA@xn--ao-siap.example"]
    unsubscribe(connection, suppressed)
    rows = [email(mail, str(key), recipient=spelling) for key, spelling in enumerate(spellings)]
    run, _ = enqueue(connection, *rows, email(mail, "x", recipient="eva@Ação.example"))
    assert [item[2] for item in items(connection, run)] == ["opted_out"] * 3
    assert [message["recipient"] for message in messages(owner)] == ["eva@xn--ao-siap.example"]


def test_an_address_that_bounced_is_named_as_such(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    mail = add_gateway(owner, "mail", kind="smtp")
    bounced = {"channel": "email", "address": "ana@example.com", "reason": "hard_bounce"}
    insert(owner, "crm.suppression", **bounced, source="queue_dispatch")
    run, outcome = enqueue(connection, email(mail, "1", recipient="ana@example.com"))
    assert counts(outcome) == (1, 0, 0, 1, 0)
    assert items(connection, run) == [("1", "skipped", "no_such_address", "T-1")]


def test_a_payload_may_be_as_long_as_the_limit(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    gateway = add_gateway(owner, payload_limit=60)
    template = add_template(owner, gateway, variables=["first_name"])
    overhead = len('{"template": "gw-cobranca", "variables": [""]}')
    fits = "é" * ((60 - overhead) // 2)
    run, outcome = enqueue(
        connection, wanted(template, "1", variables=[fits]), wanted(template, "2", variables=[fits + "é"])
    )
    assert counts(outcome) == (2, 1, 0, 0, 1)
    assert items(connection, run) == [("2", "failed", "payload_too_long", "T-2: 62 bytes, o limite é 60")]


def test_an_email_may_be_as_long_as_the_limit(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    gateway = add_gateway(owner, "email", kind="smtp", payload_limit=60)
    run, outcome = enqueue(
        connection, email(gateway, "1", payload_bytes=60), email(gateway, "2", payload_bytes=61)
    )
    assert counts(outcome) == (2, 1, 0, 0, 1)
    assert items(connection, run) == [("2", "failed", "payload_too_long", "T-2: 61 bytes, o limite é 60")]


def test_the_first_thing_that_is_wrong_is_named(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    """Each row has what the row before was refused for mended; all expired."""
    gateway = add_gateway(owner, payload_limit=100)
    template = add_template(owner, gateway, variables=["first_name"])
    suppressed = "+5511999990009"
    insert(owner, "crm.suppression", channel="phone", address=suppressed, reason="pediu", source="console")
    late = {"expires_at": NOW - dt.timedelta(days=1)}
    long = "x" * 200
    own = {"outcome": "failed", "reason": "customer_missing"}
    add_message(owner, gateway, dedupe_key="test:0")
    run, outcome = enqueue(
        connection,
        wanted(template, "0", **late, **own, recipient=suppressed, variables=[None]),
        wanted(template, "1", **late, **own, recipient=suppressed, variables=[None]),
        wanted(template, "2", **late, recipient=suppressed, variables=[None, long]),
        wanted(template, "3", **late, recipient="1", variables=[None, long]),
        wanted(template, "4", **late, variables=[None, long]),
        wanted(template, "5", **late, variables=[long, long]),
        wanted(template, "6", **late, variables=[long]),
        wanted(template, "7", **late, variables=["Ana"]),
    )
    assert counts(outcome) == (8, 0, 1, 2, 5)
    assert [row[2] for row in items(connection, run)] == [
        "customer_missing",
        "opted_out",
        "invalid_phone",
        "missing_variable",
        "wrong_variables",
        "payload_too_long",
        "too_late",
    ]


def test_every_reason_has_a_title() -> None:
    own = {
        "opted_out",
        "no_email",
        "invalid_email",
        "payload_too_long",
        "template_unusable",
        "gateway_unusable",
    }
    assert own | {reason for _, _, reason, _ in REFUSED.values()} <= set(REASON_TITLES)


def test_texts_are_frozen_as_they_are_but_for_blanks(
    owner: psycopg.Connection, connection: psycopg.Connection, template: int
) -> None:
    texts = ['Joana d\'Arc "Jô" {{7*7}} %s \\ 🎉', "a\n\tb     c\r\n", "x" * 5000]
    enqueue(connection, wanted(template, variables=texts, recipient_name=texts[0]))
    (message,) = messages(owner)
    assert message["payload"]["variables"] == [texts[0], "a b c", texts[2]]
    assert message["recipient_name"] == texts[0]


def test_a_template_changed_afterwards_does_not_change_the_message(
    owner: psycopg.Connection, connection: psycopg.Connection, template: int
) -> None:
    enqueue(connection, wanted(template))
    owner.execute("update crm.message_template set gateway_template_id = 'other', variables = '{}'")
    enqueue(connection, wanted(template))
    (message,) = messages(owner)
    assert message["payload"]["template"] == "gw-cobranca"


def test_the_same_address_may_get_several_messages(
    owner: psycopg.Connection, connection: psycopg.Connection, template: int
) -> None:
    _, outcome = enqueue(connection, wanted(template, "1"), wanted(template, "2"))
    assert outcome.changed == 2


@pytest.mark.parametrize("status", ["sent", "failed", "cancelled", "expired", "unknown", "gone"])
def test_a_key_outlives_its_message(
    owner: psycopg.Connection, connection: psycopg.Connection, template: int, status: str
) -> None:
    enqueue(connection, wanted(template))
    if status == "gone":
        owner.execute("delete from crm.message")
    else:
        owner.execute("update crm.message set status = %s", [status])
    before = messages(owner)
    _, outcome = enqueue(connection, wanted(template, recipient=None), wanted(template, "2"))
    assert counts(outcome) == (2, 1, 1, 0, 0)
    assert messages(owner)[:-1] == before


def test_a_dry_run_counts_and_names_but_writes_nothing(
    owner: psycopg.Connection, connection: psycopg.Connection, template: int
) -> None:
    enqueue(connection, wanted(template, "1"))
    before = messages(owner)
    rows = [wanted(template, str(key)) for key in range(1, 1503)]
    run, outcome = enqueue(connection, *rows, wanted(template, "x", recipient=None), dry_run=True)
    assert counts(outcome) == (1503, 0, 1502, 1, 0)
    assert "simulação" in outcome.details["note"]
    assert "1.501" in outcome.details["note"]
    assert items(connection, run) == [("x", "skipped", "no_phone", "T-x")]
    assert messages(owner) == before
    assert owner.execute("select count(*) from crm.message_key").fetchone() == (1,)
    assert enqueue(connection, *rows)[1].changed == 1501


def test_a_dry_run_can_name_those_that_would_be_written(
    owner: psycopg.Connection, connection: psycopg.Connection, template: int
) -> None:
    enqueue(connection, wanted(template, "old"))
    before = messages(owner)
    rows = [wanted(template, "old"), wanted(template, "new"), wanted(template, "none", recipient=None)]
    run, outcome = enqueue(connection, *rows, dry_run=True, list_unwritten=True)
    assert counts(outcome) == (3, 0, 1, 2, 0)
    assert "gravadas: 1;" in outcome.details["note"]
    assert items(connection, run) == [
        ("new", "skipped", "dry_run", "T-new"),
        ("none", "skipped", "no_phone", "T-none"),
    ]
    assert messages(owner) == before


def test_nothing_at_all_to_write(connection: psycopg.Connection) -> None:
    assert counts(enqueue(connection)[1]) == (0, 0, 0, 0, 0)


def test_several_producers_in_one_transaction(
    owner: psycopg.Connection, connection: psycopg.Connection, template: int
) -> None:
    with connection.transaction():
        assert enqueue(connection, wanted(template, "1"))[1].changed == 1
        assert enqueue(connection, wanted(template, "1"), wanted(template, "2"))[1].changed == 1
    assert len(messages(owner)) == 2


def test_a_transaction_that_fails_leaves_nothing(
    owner: psycopg.Connection, connection: psycopg.Connection, template: int
) -> None:
    def work() -> None:
        with connection.transaction():
            enqueue(connection, wanted(template))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        work()
    assert messages(owner) == []
    assert enqueue(connection, wanted(template))[1].changed == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"gateway_id": 1},  # neither of the two alone says what to send
        {"payload": {"text": "Olá"}},
        {"template_id": None, "variables": None, "gateway_id": 1, "payload": {"text": "Olá"}},
        {"template_id": None},
        {"variables": None},
        {"template_id": None, "variables": None},
        {"reason": "no_phone"},
        {"outcome": "skipped"},
        {"outcome": "changed", "reason": "because"},
    ],
)
def test_a_producer_that_fills_in_nonsense_is_stopped(
    connection: psycopg.Connection, template: int, fields: dict[str, Any]
) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        enqueue(connection, {**wanted(template), **fields})


@pytest.mark.parametrize(
    "fields", [{"active": False}, *({"status": status} for status in ("pending", "rejected", "paused"))]
)
def test_a_template_that_cannot_be_used_writes_nothing(
    owner: psycopg.Connection, connection: psycopg.Connection, gateway: int, fields: dict[str, Any]
) -> None:
    template, wrong = add_template(owner, gateway), add_template(owner, gateway, "parado", **fields)
    run, outcome = enqueue(connection, wanted(wrong, "1"), wanted(template, "2"))
    assert counts(outcome) == (2, 1, 0, 0, 1)
    assert items(connection, run) == [("1", "failed", "template_unusable", "T-1: parado")]
    assert [message["origin_key"] for message in messages(owner)] == ["2"]


def test_an_unknown_template_or_gateway_is_named_and_stops_nobody(
    owner: psycopg.Connection, connection: psycopg.Connection, template: int
) -> None:
    run, outcome = enqueue(connection, wanted(template), wanted(987, "2"), email(654, "3"))
    assert counts(outcome) == (3, 1, 0, 0, 2)
    assert items(connection, run) == [
        ("2", "failed", "template_unusable", "T-2: 987"),
        ("3", "failed", "gateway_unusable", "T-3: 654"),
    ]
    assert [message["origin_key"] for message in messages(owner)] == ["1"]


def test_an_inactive_gateway_gets_no_messages_and_a_paused_one_does(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    off = add_gateway(owner, "off", active=False)
    off_mail = add_gateway(owner, "off_mail", kind="smtp", active=False)
    paused = add_gateway(owner, "paused", paused_at=NOW, paused_by="ana", pause_reason="feira")
    run, outcome = enqueue(
        connection,
        wanted(add_template(owner, off), "1"),
        email(off_mail, "2"),
        wanted(add_template(owner, paused), "3"),
    )
    assert counts(outcome) == (3, 1, 0, 0, 2)
    assert items(connection, run) == [
        ("1", "failed", "gateway_unusable", "T-1: off"),
        ("2", "failed", "gateway_unusable", "T-2: off_mail"),
    ]
    assert [message["origin_key"] for message in messages(owner)] == ["3"]


def test_the_keys_ever_written_are_not_read_through(
    owner: psycopg.Connection, connection: psycopg.Connection, template: int
) -> None:
    owner.execute("insert into crm.message_key select 'old:' || n, n from generate_series(1, 100000) as n")
    owner.execute("vacuum analyze crm.message_key")
    with connection.transaction():
        outbox.open_outgoing(connection)
        connection.execute(
            "insert into outgoing (record_kind, record_id, dedupe_key, origin_key, template_id, variables) "
            "select 'receivable', n, 'test:' || n, n, %(template)s, '{}' from generate_series(1, 10000) as n",
            {"template": template},
        )
        plan = connection.execute(
            "explain " + statement("outbox/check_outgoing"),
            {"email_kinds": ["smtp"], "now": NOW, "list_unwritten": False},
        ).fetchall()
    text = "\n".join(line for (line,) in plan)
    assert "Index Scan using message_key_pkey" in text
    assert "Seq Scan on message_key" not in text


@settings(max_examples=examples(30))
@given(
    runs=st.lists(
        st.lists(
            st.tuples(
                st.integers(1, 6),
                st.sampled_from([PHONE, None, "1"]),
                st.integers(-1, 1),  # days until it expires
            ),
            max_size=8,
        ),
        max_size=6,
    )
)
def test_whatever_is_run_a_key_is_written_once_and_the_equation_closes(
    owner: psycopg.Connection,
    connection: psycopg.Connection,
    template: int,
    runs: list[list[tuple[int, str | None, int]]],
) -> None:
    owner.execute("truncate crm.message, crm.message_key")
    written: set[str] = set()
    for rows in runs:
        _, outcome = enqueue(
            connection,
            *(
                # two rows of a key are two records of the run
                wanted(
                    template,
                    str(key),
                    record_id=f"{place}",
                    recipient=recipient,
                    expires_at=NOW + dt.timedelta(days=days),
                )
                for place, (key, recipient, days) in enumerate(rows)
            ),
        )
        good = {str(key) for key, recipient, days in rows if recipient == PHONE and days > 0}
        assert outcome.changed == len(good - written)
        named = sum(
            not (recipient == PHONE and days > 0) and str(key) not in written for key, recipient, days in rows
        )
        assert outcome.skipped + outcome.failed == named
        assert outcome.selected == len(rows)
        written |= good
    assert sorted(message["origin_key"] for message in messages(owner)) == sorted(written)
    assert owner.execute("select count(*) from crm.message_key").fetchone() == (len(written),)


def test_two_producers_at_once_write_each_message_once(
    task_uri: str, owner: psycopg.Connection, template: int
) -> None:
    """Neither under a lock; in opposite order, so that waiting for each other would be a deadlock."""
    barrier = threading.Barrier(2)
    done: list[Outcome] = []

    def produce(keys: range) -> None:
        with psycopg.connect(task_uri, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
            run = open_run(connection, DAY, routine="billing_messages", program="crm_cobranca")
            with connection.transaction():
                outbox.open_outgoing(connection)
                connection.execute(
                    "insert into outgoing (record_kind, record_id, dedupe_key, origin_key, template_id, "
                    "variables, recipient) select 'receivable', n, 'test:' || n, n, %(template)s, "
                    "array['Ana', '1', 'x'], %(phone)s from unnest(%(keys)s) as n",
                    {"template": template, "phone": PHONE, "keys": list(keys)},
                )
                barrier.wait(timeout=30)
                done.append(outbox.enqueue(connection, run, now=NOW))

    threads = [
        threading.Thread(target=produce, args=[keys]) for keys in (range(20_000), range(20_999, 999, -1))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert len(done) == 2
    assert sum(outcome.changed for outcome in done) == 21_000
    assert sum(outcome.unchanged for outcome in done) == 19_000
    assert owner.execute(
        "select count(*), count(distinct origin_key), count(distinct id) from crm.message"
    ).fetchone() == (21_000, 21_000, 21_000)


def test_a_snapshot_from_before_the_other_producer_fails_and_can_be_tried_again(
    task_uri: str, connection: psycopg.Connection, owner: psycopg.Connection, template: int
) -> None:
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    run = open_run(connection, DAY, routine="billing_messages", program="crm_cobranca")

    def work() -> Outcome:
        with connection.transaction():
            fill(connection, [wanted(template, "1"), wanted(template, "2")])
            if not messages(owner):
                with psycopg.connect(task_uri, autocommit=True, cursor_factory=psycopg.ClientCursor) as other:
                    enqueue(other, wanted(template, "2"))
            return outbox.enqueue(connection, run, now=NOW)

    with pytest.raises(psycopg.errors.SerializationFailure):
        work()
    assert [message["origin_key"] for message in messages(owner)] == ["2"]
    assert counts(work()) == (2, 1, 1, 0, 0)
