"""Customers: found by what people type, and all that is known of one on its page."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import psycopg
import pytest

from rotina.accounts import account_search
from rotina.accounts.account_search import search_accounts
from rotina.models import Message
from rotina.sql import statement
from tests.console.conftest import OpenConsole
from tests.messaging.queue_data import add_account, add_gateway, add_template, insert


def text_of(html: str) -> str:
    """The words of a page."""
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


# -- the search ---------------------------------------------------------------------------------------------


@pytest.fixture
def accounts(owner: psycopg.Connection) -> dict[str, int]:
    """Accounts that look alike."""
    add = {
        "ana": {
            "name": "Ana Souza",
            "document": "529.982.247-25",
            "email": "Ana.Souza@Example.com",
            "phone": "+5511999990000",
        },
        "anabela": {"name": "ANABELA 100%", "email": "ana_b@example.com", "phone": "(11) 98888-0000"},
        "loja": {
            "kind": "company",
            "name": "Loja Ângela",
            "document": "12ABC34501DE35",
            "erp_customer_id": 529,
        },
    }
    return {
        name: add_account(owner, fields.pop("erp_customer_id", None), **fields)
        for name, fields in add.items()
    }


@pytest.mark.parametrize(
    ("term", "found"),
    [
        ("ana", ["ana", "anabela"]),
        ("  ANA   souza ", ["ana"]),
        ("souza", []),  # names are found by their beginning
        ("anabela 100%", ["anabela"]),
        ("ana%", []),
        ("an_", []),
        ("loja ân", ["loja"]),
        ("loja Â", ["loja"]),
        ("LOJA ANGELA", ["loja"]),
        ("loja a\u0302ngela", ["loja"]),  # the accent as a character of its own
        ("áná", ["ana", "anabela"]),
        ("52998224725", ["ana"]),
        ("529.982.247", ["ana"]),
        ("12.abc.345/01de-35", ["loja"]),
        ("529", ["loja"]),  # the customer of the ERP; too short for a document
        ("999990000", ["ana"]),
        ("(11) 99999-0000", ["ana"]),
        ("11988880000", ["anabela"]),
        ("0000", []),
        ("ANA.SOUZA@EXAMPLE.com", ["ana"]),
        ("ana.s", ["ana"]),
        ("ana_b@", ["anabela"]),
        ("anaxb@", []),
        ("", []),
        ("   ", []),
        ("%", []),
        ("-", []),
        ("\\", []),
        ("9" * 30, []),
        ("x" * 10_000, []),
        ("ana\0", ["ana", "anabela"]),
        ("٣٤٥", []),
    ],
)
def test_an_account_is_found_by_what_people_type(
    connection: psycopg.Connection, accounts: dict[str, int], term: str, found: list[str]
) -> None:
    names = {key: name for name, key in accounts.items()}
    assert [names[one.id] for one in search_accounts(connection, term)] == found


def test_an_account_is_found_by_its_number_first(
    connection: psycopg.Connection, owner: psycopg.Connection, accounts: dict[str, int]
) -> None:
    other = add_account(owner, accounts["ana"], name="Outra")
    assert [(one.id, one.matched) for one in search_accounts(connection, str(accounts["ana"]))] == [
        (accounts["ana"], "id"),
        (other, "customer"),
    ]


def test_a_search_lists_no_more_than_it_is_asked_for(
    connection: psycopg.Connection, owner: psycopg.Connection
) -> None:
    owner.execute(
        "insert into crm.account (kind, name) select 'person', 'Ana ' || n from generate_series(1, 9) n"
    )
    assert [one.name for one in search_accounts(connection, "ana", 3)] == ["Ana 1", "Ana 2", "Ana 3"]


@pytest.mark.parametrize(
    ("term", "index"),
    [
        ("17", "account_pkey"),
        ("1000017", "account_erp_customer_id_key"),
        ("000.000.000-17", "account_search_document"),
        ("(11) 99999-9917", "account_search_phone"),
        ("ana17@example.com", "account_search_email"),
        ("Ana 1", "account_search_name"),
    ],
)
def test_each_kind_of_search_reads_its_index_and_few_rows(
    connection: psycopg.Connection, owner: psycopg.Connection, term: str, index: str
) -> None:
    owner.execute(
        "insert into crm.account (kind, name, document, email, phone, erp_customer_id) "
        "select 'person', 'Ana ' || n, lpad(n::text, 11, '0'), 'ana' || n || '@example.com', "
        "'+5511' || lpad(n::text, 9, '9'), 1000000 + n from generate_series(1, 20000) n"
    )
    owner.execute("analyze crm.account")
    values = {**account_search._asked(term), "most": 51}
    (plan,) = connection.execute(
        "explain (analyze, format json) " + statement("account_search/find_accounts"), values
    ).fetchone() or (None,)
    read = [node for node in nodes(plan[0]["Plan"]) if node.get("Relation Name") == "account"]
    assert not [node for node in read if node["Node Type"] == "Seq Scan"]
    assert sum(node["Actual Rows"] * node["Actual Loops"] for node in read) < 500
    assert [node for node in read if node.get("Index Name") == index and node["Actual Rows"]]


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for child in plan.get("Plans", []) for node in nodes(child))]


def test_the_list_leads_to_the_accounts(open_console: OpenConsole, accounts: dict[str, int]) -> None:
    reply = open_console("viewer").get("/rotina/customers?q=ana")
    assert f'href="/rotina/customers/{accounts["ana"]}"' in reply.text
    assert "ANABELA 100%" in reply.text
    assert "Loja" not in text_of(reply.text)


@pytest.mark.parametrize("term", ["529.982.247-25", "ana.souza@example.com", "(11) 99999-0000"])
def test_what_tells_who_it_is_leads_to_its_page(
    open_console: OpenConsole, accounts: dict[str, int], term: str
) -> None:
    client = open_console("viewer")
    reply = client.get("/rotina/customers", params={"q": term}, follow_redirects=False)
    assert (reply.status_code, reply.headers["location"]) == (
        303,
        f"/rotina/customers/{accounts['ana']}",
    )


def test_nothing_found_says_so_in_both_languages(open_console: OpenConsole) -> None:
    assert "No account has “xyz”" in open_console("viewer").get("/rotina/customers?q=xyz").text
    assert "Nenhuma conta tem “xyz”" in open_console("viewer", "pt-BR").get("/rotina/customers?q=xyz").text
    assert "No account" not in open_console("viewer").get("/rotina/customers").text


def test_more_than_are_listed_are_told(open_console: OpenConsole, owner: psycopg.Connection) -> None:
    owner.execute(
        "insert into crm.account (kind, name) select 'person', 'Ana ' || n from generate_series(1, 51) n"
    )
    reply = open_console("viewer").get("/rotina/customers?q=ana")
    assert "There are more." in reply.text
    assert reply.text.count("/rotina/customers/") == 50


# -- the page of an account ---------------------------------------------------------------------------------


@pytest.fixture
def account(owner: psycopg.Connection) -> int:
    """An account with all that there may be of one."""
    insert(owner, "crm.account_class", id=1, name="Bronze")
    insert(owner, "crm.account_class", id=2, name="Ouro")
    insert(owner, "crm.app_user", login="bia", name="Beatriz Lima", email="bia@example.com")
    key = add_account(
        owner,
        77,
        name="Ana Souza",
        email="Ana@Example.com",
        phone="+5511999990000",
        document="52998224725",
        class_id=2,
        status="active",
        owner_login="bia",
        birth_on=dt.date(1990, 11, 20),
    )
    insert(
        owner,
        "crm.account_supplementary",
        account_id=key,
        last_purchase_date=dt.date(2026, 11, 1),
        last_purchase_value="1234.50",
        accumulated_value="98765.43",
        purchase_count=12,
        last_invoice_code="NF-1",
        as_of_on=dt.date(2026, 11, 20),
        run_id=1,
    )
    insert(
        owner,
        "crm.account_class_change",
        account_id=key,
        changed_on=dt.date(2026, 11, 19),
        from_class_id=1,
        to_class_id=2,
        rule_id=5,
        rule_name="Bons compradores",
        rule_values={"accumulated_value": "98765.43", "last_purchase_date": "2026-11-01", "class": None},
        run_id=31,
    )
    insert(
        owner,
        "crm.account_status_change",
        account_id=key,
        changed_on=dt.date(2026, 11, 18),
        from_status="inactive",
        to_status="active",
        source="erp",
        reason="movement",
        reason_on=dt.date(2026, 11, 1),
        run_id=32,
    )
    insert(
        owner,
        "crm.monitoring_profile",
        id=1,
        name="Sem compras",
        period_days=90,
        processes=["order"],
        notify_owners=True,
        updated_by="ana",
    )
    insert(
        owner,
        "crm.inactive_account",
        profile_id=1,
        account_id=key,
        found_on=dt.date(2026, 6, 1),
        last_movement_at=dt.datetime(2026, 2, 1, 15, tzinfo=dt.UTC),
        last_process="quote",
        owner_before="caio",
        owner_after="bia",
        transferred=True,
        notified=["bia", "caio"],
        run_id=33,
    )
    return key


def add_message(owner: psycopg.Connection, gateway_id: int, **fields: Any) -> int:
    """A message of the queue; returns its id."""
    values = {
        "dedupe_key": str(fields),
        "origin": "birthday_emails",
        "origin_key": "1",
        "recipient": "ana@example.com",
        "payload": {"subject": "Feliz aniversário, Ana"},
        "status": "sent",
        **fields,
    }
    (key, *_) = insert(owner, "crm.message", gateway_id=gateway_id, **values)
    return int(key)


@pytest.mark.parametrize(
    ("language", "words"),
    [
        (
            "en",
            [
                "Ana Souza",
                "529.982.247-25",
                "20 Nov 1990",
                "Beatriz Lima",
                "As of 20 Nov 2026",
                "R$98,765.43",
                "19 Nov 2026 Bronze → Ouro Bons compradores class: empty "
                "date of last purchase: 1 Nov 2026 accumulated value: R$98,765.43 31",
                "18 Nov 2026 inactive → active moved in the period (1 Nov 2026) ERP 32",
                "1 Jun 2026 Sem compras 1 Feb 2026 12:00 quote caio → bia bia, caio 33",
            ],
        ),
        (
            "pt-BR",
            [
                "Dados de 20/11/2026",
                "R$ 98.765,43",
                "19/11/2026 Bronze → Ouro Bons compradores classe: em branco "
                "data da última compra: 01/11/2026 valor acumulado: R$ 98.765,43 31",
                "18/11/2026 inativa → ativa teve movimento no período (01/11/2026) ERP 32",
                "01/06/2026 Sem compras 01/02/2026 12:00 cotação caio → bia bia, caio 33",
            ],
        ),
    ],
)
def test_the_page_tells_all_that_is_known(
    open_console: OpenConsole, account: int, language: str, words: list[str]
) -> None:
    page = text_of(open_console("viewer", language).get(f"/rotina/customers/{account}").text)
    for some in words:
        assert some in page.replace("\xa0", " ")


def test_an_account_of_which_little_is_known(open_console: OpenConsole, owner: psycopg.Connection) -> None:
    key = add_account(owner, name="Nova", active=False)
    client = open_console("user")
    page = text_of(client.get(f"/rotina/customers/{key}").text)
    for words in (
        "not in use",
        "the account data were never refreshed",
        "No address that a message could go to.",
        "No message was written to this account.",
        "No rule has moved this account",
        "The status has not changed.",
        "No monitoring profile has found this account.",
    ):
        assert words in page
    insert(owner, "crm.account_data_state", refreshed_through_on=dt.date(2026, 11, 20), run_id=1)
    assert "refreshed through 20 Nov 2026" in client.get(f"/rotina/customers/{key}").text


def test_the_messages_of_the_account_and_of_its_customer(
    open_console: OpenConsole, owner: psycopg.Connection, account: int
) -> None:
    mail = add_gateway(owner, "mail", kind="smtp")
    opa = add_gateway(owner)
    template = add_template(owner, opa)
    sent = add_message(owner, mail, account_id=account, sent_at=dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC))
    waiting = add_message(
        owner,
        opa,
        customer_id=77,
        template_id=template,
        status="waiting",
        recipient="+5511911112222",
        origin="billing_messages",
        payload={"template": "x", "variables": ["Ana", "129,90", "25/11/2026"]},
        send_after=dt.datetime(2026, 11, 25, 12, tzinfo=dt.UTC),
    )
    add_message(owner, mail, account_id=account + 1, payload={"subject": "De outra"})
    html = open_console("viewer").get(f"/rotina/customers/{account}").text
    page = text_of(html)
    assert "Feliz aniversário, Ana Birthday e-mails ana@example.com mail Sent 20 Nov 2026 09:00" in page
    assert "Olá Ana 129,90 25/11/2026 Billing messages +5511911112222 opa Waiting" in page
    assert "not before 25 Nov 2026 09:00" in page
    assert "De outra" not in page
    assert f'href="/rotina/queue/{sent}"' in html
    assert html.index(f"queue/{waiting}") < html.index(f"queue/{sent}")


def test_older_messages_follow(open_console: OpenConsole, owner: psycopg.Connection, account: int) -> None:
    mail = add_gateway(owner, "mail", kind="smtp")
    keys = [add_message(owner, mail, account_id=account, dedupe_key=f"k{n}") for n in range(30)]
    client = open_console("viewer")
    address = f"/rotina/customers/{account}"
    first = re.findall(r"rotina/queue/(\d+)\">\d", client.get(address).text)
    then = re.findall(r"rotina/queue/(\d+)\">\d", client.get(f"{address}?before={first[-1]}").text)
    assert [int(key) for key in (*first, *then)] == keys[::-1]
    assert len(first) == 25
    assert client.get(f"{address}?before=x'").status_code == 200


def test_archived_messages_are_there(
    open_console: OpenConsole, owner: psycopg.Connection, account: int
) -> None:
    owner.execute(
        "create table crm.message_archive_all partition of crm.message_archive default; "
        "grant select on crm.message_archive_all to rotina_task"
    )
    mail = add_gateway(owner, "mail", kind="smtp")
    add_message(owner, mail, account_id=account, payload={"subject": "De outros tempos"})
    names = ", ".join(column.name for column in Message.__table__.columns)
    owner.execute(f"insert into crm.message_archive ({names}) select {names} from crm.message")
    owner.execute("delete from crm.message")
    assert "De outros tempos" in open_console("viewer").get(f"/rotina/customers/{account}").text


def test_opting_out_and_back_in(open_console: OpenConsole, owner: psycopg.Connection, account: int) -> None:
    client = open_console("user")
    address = f"/rotina/customers/{account}"
    assert text_of(client.get(address).text).count("Gets messages") == 2
    body = {"channel": "email", "address": "ana@example.com"}
    reply = client.post_json("/rotina/customers/opt-out", {**body, "reason": "pediu por telefone"})
    assert reply.json() == {"message": "No more messages go to ana@example.com."}
    page = text_of(client.get(address).text)
    assert "Gets no messages pediu por telefone · user" in page
    assert page.count("Gets messages") == 1
    assert client.post_json("/rotina/customers/opt-in", body).status_code == 200
    assert text_of(client.get(address).text).count("Gets messages") == 2
    assert owner.execute("select login, action, target from crm.audit_entry order by id").fetchall() == [
        ("user", "suppress", body),
        ("user", "unsuppress", body),
    ]


def test_a_wrong_opt_out_is_told(open_console: OpenConsole) -> None:
    client = open_console("user")
    body = {"channel": "email", "address": "ana@example.com"}
    reply = client.post_json("/rotina/customers/opt-out", {**body, "reason": " "})
    assert (reply.status_code, "reason" in reply.json()["detail"]) == (422, True)
    reply = client.post_json("/rotina/customers/opt-in", body)
    assert (reply.status_code, "is not suppressed" in reply.json()["detail"]) == (422, True)


def test_what_is_no_address_is_shown_as_such(open_console: OpenConsole, owner: psycopg.Connection) -> None:
    key = add_account(owner, name="Nova", phone="(11) 98888-0000", email="nova arroba example")
    html = open_console("user").get(f"/rotina/customers/{key}").text
    assert text_of(html).count("No messages can go there") == 2
    assert "data-opt-out=" not in html


def test_messages_are_found_by_their_indexes(
    connection: psycopg.Connection, owner: psycopg.Connection, account: int
) -> None:
    mail = add_gateway(owner, "mail", kind="smtp")
    owner.execute(
        "insert into crm.message "
        "(gateway_id, dedupe_key, origin, origin_key, recipient, payload, status, account_id, customer_id) "
        "select %(mail)s, 'k' || n, 'birthday_emails', n::text, 'a' || n || '@example.com', '{}', 'sent', "
        "1000 + n, 5000 + n from generate_series(1, 20000) n",
        {"mail": mail},
    )
    owner.execute("analyze crm.message")
    values = {"account_id": 1017, "customer_id": 5018, "before": None, "most": 26}
    (plan,) = connection.execute(
        "explain (analyze, format json) " + statement("console_customers/list_messages"), values
    ).fetchone() or (None,)
    read = [node for node in nodes(plan[0]["Plan"]) if node.get("Relation Name") == "message"]
    assert [(node["Node Type"], node["Actual Rows"]) for node in read] == [("Bitmap Heap Scan", 2)]


def test_who_reads_only_sees_no_buttons(open_console: OpenConsole, account: int) -> None:
    page = open_console("viewer").get(f"/rotina/customers/{account}").text
    assert '<button type="button" class="btn btn-sm" data-opt-out' not in page
    assert "data-opt-out=" in open_console("user").get(f"/rotina/customers/{account}").text


@pytest.mark.parametrize("key", ["0", "999", "9223372036854775808", "9" * 40])
def test_an_account_that_is_not_there(open_console: OpenConsole, key: str) -> None:
    assert open_console("viewer").get(f"/rotina/customers/{key}").status_code == 404
