"""The gateway simulator over a real port: its API, its ledger, its faults."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from rotina.local.gateway_simulator import (
    CHANNEL_ID,
    DAILY_LIMIT,
    TEMPLATES,
    FaultKind,
    Webhook,
    create_app,
    serving,
)

TOKEN = "simulator-token"
SEND = "/api/v1/template/send"
LIMITS = f"/api/v1/canal-comunicacao/{CHANNEL_ID}/template/limites-diarios-envio"


JSON = "/json/v1/messages"
JSON_MESSAGE = {
    "to": "+5511987654321",
    "template": "65f0c0de0000000000000002",
    "variables": ["Ana", "129,90"],
    "reference": "billing:42",
}


class Client(requests.Session):
    """Requests to the simulator, with its token."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.trust_env = False
        self.url = url
        self.headers["Authorization"] = f"Bearer {TOKEN}"

    def ask(self, method: str, path: str, **arguments: Any) -> requests.Response:
        return self.request(method, self.url + path, timeout=5, **arguments)

    def sent(self) -> list[dict[str, Any]]:
        return list(self.ask("GET", "/simulator/ledger").json()["messages"])


def message(
    recipient: Any = "+5511987654321",
    template: str = "65f0c0de0000000000000002",
    variables: Any = ("Ana", "129,90"),
    channel: str = CHANNEL_ID,
    **more: Any,
) -> dict[str, Any]:
    return {
        "contato": {"canalCliente": recipient},
        "template": {"_id": template, "variaveis": variables},
        "canal": channel,
        **more,
    }


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "new folder" / "ledger.jsonl"


@pytest.fixture
def client(ledger: Path) -> Iterator[Client]:
    with serving(create_app(TOKEN, ledger)) as url, Client(url) as client:
        yield client


def test_a_message_is_accepted_written_down_and_found_again(client: Client, ledger: Path) -> None:
    reply = client.ask("POST", SEND, json=message(metadata={"id": 7}))
    assert reply.status_code == 200
    assert (reply.json()["status"], reply.json()["code"]) == ("success", 200)
    message_id = reply.json()["data"]["messageSentId"]
    entry = {
        "sequence": 1,
        "message_id": message_id,
        "recipient": "+5511987654321",
        "channel_id": CHANNEL_ID,
        "template_id": "65f0c0de0000000000000002",
        "variables": ["Ana", "129,90"],
        "metadata": {"id": 7},
    }
    assert client.sent() == [entry]
    assert [json.loads(line) for line in ledger.read_text().splitlines()] == [entry]
    found = client.ask("GET", f"/api/v1/atendimento/mensagem/{message_id}").json()["data"]
    assert (found["statusEnvio"], found["metadata"]) == ({"status": "enviado"}, {"id": 7})
    assert client.ask("GET", "/api/v1/atendimento/mensagem/none").status_code == 404


def test_templates_and_limits(client: Client) -> None:
    listed = client.ask("GET", "/api/v1/template").json()["data"]
    assert [(item["_id"], item["atalho"], item["texto"]) for item in listed] == [
        (template_id, *rest) for template_id, rest in TEMPLATES.items()
    ]
    client.ask("POST", SEND, json=message())
    limits = {"messagesSent": 1, "dailyLimit": DAILY_LIMIT, "availableAmount": DAILY_LIMIT - 1}
    assert client.ask("GET", LIMITS).json() == limits
    assert client.ask("GET", LIMITS.replace(CHANNEL_ID, "other")).status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", SEND),
        ("GET", "/api/v1/template"),
        ("GET", LIMITS),
        ("GET", "/api/v1/atendimento/mensagem/1"),
        ("POST", JSON),
        ("GET", f"{JSON}/1"),
        ("GET", "/json/v1/available"),
    ],
)
def test_without_the_token_nothing_is_told(client: Client, method: str, path: str) -> None:
    body = None if method == "GET" else message() if path == SEND else JSON_MESSAGE
    for authorization in (None, b"", b"Bearer", b"Bearer other", b"Basic " + TOKEN.encode(), b"Bearer a\xe7"):
        reply = client.ask(method, path, json=body, headers={"Authorization": authorization})
        assert reply.status_code == 401
    assert client.sent() == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (message(recipient="+5511987650000"), "contato.canalCliente"),
        (message(recipient="11987654321"), "contato.canalCliente"),
        (message(recipient="+5511987654321\n"), "contato.canalCliente"),
        (message(recipient=5511987654321), "contato.canalCliente"),
        (message(template="other"), "template._id"),
        (message(variables=["Ana"]), "template.variaveis"),
        (message(variables=["Ana", "1", "2"]), "template.variaveis"),
        (message(variables="Ana"), "template.variaveis"),
        (message(channel="other"), "canal"),
        ({}, "contato"),
        ([], "body"),
    ],
)
def test_a_wrong_message_is_refused_by_field(client: Client, body: Any, field: str) -> None:
    reply = client.ask("POST", SEND, json=body)
    assert (reply.status_code, reply.json()["status"]) == (400, "error")
    assert field in reply.json()["data"]["message"]
    assert client.sent() == []


def test_the_ledger_survives_a_restart(ledger: Path) -> None:
    ids = []
    for _ in range(2):
        with serving(create_app(TOKEN, ledger)) as url, Client(url) as client:
            ids += [
                client.ask("POST", SEND, json=message()).json()["data"]["messageSentId"] for _ in range(2)
            ]
            assert [entry["message_id"] for entry in client.sent()] == ids
    assert len(set(ids)) == 4


def test_what_it_does_follows_from_what_it_is_asked(tmp_path: Path) -> None:
    written = []
    for name in ("one", "two"):
        with serving(create_app(TOKEN, tmp_path / name)) as url, Client(url) as client:
            for variables in (("Ana", "1"), ("Zé", "2")):
                client.ask("POST", SEND, json=message(variables=variables))
        written.append((tmp_path / name).read_bytes())
    assert written[0] == written[1]


@pytest.mark.parametrize(
    "wrong", ["[]\n", '{"sequence": 2}\n', '{"seq\n{"sequence": 3, "message_id": "c"}\n']
)
def test_a_ledger_with_a_wrong_line_stops_the_start(tmp_path: Path, wrong: str) -> None:
    ledger = tmp_path / "ledger.jsonl"
    ledger.write_text('{"sequence": 1, "message_id": "a"}\n' + wrong)
    with pytest.raises(ValueError, match=r"ledger\.jsonl, line 2"):
        create_app(TOKEN, ledger)


@pytest.mark.parametrize("torn", ["{", '{"sequence": 2, "variables": ["é'.encode()[:-1], b"\xff"])
def test_a_last_line_torn_by_a_kill_is_cut_off(ledger: Path, torn: str | bytes) -> None:
    with serving(create_app(TOKEN, ledger)) as url, Client(url) as client:
        client.ask("POST", SEND, json=message())
    whole = ledger.read_bytes()
    ledger.write_bytes(whole + (torn.encode() if isinstance(torn, str) else torn))
    with serving(create_app(TOKEN, ledger)) as url, Client(url) as client:
        assert ledger.read_bytes() == whole
        client.ask("POST", SEND, json=message())
        assert [entry["sequence"] for entry in client.sent()] == [1, 2]


def test_a_blank_token_is_refused(ledger: Path) -> None:
    with pytest.raises(ValueError, match="token"):
        create_app(" ", ledger)


@pytest.mark.parametrize(
    ("fault", "field"),
    [
        ({"kind": "explode"}, "kind"),
        ({}, "kind"),
        ({"kind": "drop", "count": 0}, "count"),
        ({"kind": "drop", "count": -1}, "count"),
        ({"kind": "drop", "count": "1"}, "count"),
        ({"kind": "drop", "count": True}, "count"),
        ({"kind": "drop", "on": "none"}, "on"),
        ({"kind": "drop", "cuont": 1}, "cuont"),
        ({"kind": "drop", "retry_after": 1}, "retry_after"),
        ({"kind": "rate_limited", "retry_after": -1}, "retry_after"),
        ({"kind": "rate_limited", "retry_after": "1\r\nX: 1"}, "retry_after"),
        ({"kind": "error_503", "retry_after": 1}, "retry_after"),
        ({"kind": "slow"}, "body"),
        ({"kind": "slow", "delay_ms": 0}, "delay_ms"),
        ({"kind": "drop", "delay_ms": 5}, "body"),
        ({"kind": "drop", "on": "all", "recipient": "+5511987654321"}, "body"),
        ([], "body"),
    ],
)
def test_a_wrong_order_to_fail_is_refused_by_field(client: Client, fault: Any, field: str) -> None:
    reply = client.ask("POST", "/simulator/faults", json=fault)
    assert reply.status_code == 400
    assert reply.json()["errors"][0]["field"].split(".")[0] == field
    assert client.ask("POST", SEND, json=message()).status_code == 200


def test_an_order_that_is_not_json_is_refused(client: Client) -> None:
    reply = client.ask("POST", "/simulator/faults", data="{")
    assert (reply.status_code, reply.json()["errors"][0]["field"]) == (400, "body")


@pytest.mark.parametrize(
    ("kind", "status", "headers"),
    [
        ("rate_limited", 429, {"Retry-After": "1"}),
        ("unavailable", 503, {}),
        ("error_500", 500, {}),
        ("unauthorized", 401, {}),
        ("error_body", 200, {}),
        ("in_attendance", 400, {}),
        ("opted_out", 400, {}),
        ("template_unknown", 404, {}),
        ("template_paused", 400, {}),
        ("error_503", 503, {}),
    ],
)
def test_faults_that_are_replies(client: Client, kind: str, status: int, headers: dict[str, str]) -> None:
    client.ask("POST", "/simulator/faults", json={"kind": kind, "count": 2}).raise_for_status()
    for _ in range(2):
        reply = client.ask("POST", SEND, json=message())
        assert (reply.status_code, reply.json()["status"]) == (status, "error")
        assert headers.items() <= reply.headers.items()
    assert client.sent() == []
    assert client.ask("POST", SEND, json=message()).status_code == 200


@pytest.mark.parametrize(
    ("kind", "accepted", "error"),
    [
        ("refuse", 0, requests.ConnectionError),
        ("drop", 1, requests.ConnectionError),
        ("timeout_before", 0, requests.ReadTimeout),
        ("timeout_after", 1, requests.ReadTimeout),
    ],
)
def test_faults_that_are_no_reply(
    client: Client, kind: str, accepted: int, error: type[requests.RequestException]
) -> None:
    client.ask("POST", "/simulator/faults", json={"kind": kind}).raise_for_status()
    with pytest.raises(error):
        client.post(client.url + SEND, json=message(), timeout=0.3)
    assert len(client.sent()) == accepted
    assert client.ask("POST", SEND, json=message()).status_code == 200


@pytest.mark.parametrize("path", [SEND, JSON])
def test_a_reply_cut_in_the_middle(client: Client, path: str) -> None:
    client.ask("POST", "/simulator/faults", json={"kind": "cut_reply"}).raise_for_status()
    body = message() if path == SEND else JSON_MESSAGE
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        client.ask("POST", path, json=body, headers={"Idempotency-Key": "k"})
    assert len(client.sent()) == 1


def test_a_slow_answer_is_given_in_the_end(client: Client) -> None:
    client.ask("POST", "/simulator/faults", json={"kind": "slow", "delay_ms": 400}).raise_for_status()
    reply = client.ask("POST", SEND, json=message())
    assert reply.json()["data"]["messageSentId"] == client.sent()[0]["message_id"]
    assert reply.elapsed.total_seconds() > 0.3


def test_every_kind_of_fault_is_tested() -> None:
    replies = {"rate_limited", "unavailable", "error_500", "unauthorized", "error_body", "in_attendance"}
    replies |= {"opted_out", "template_unknown", "template_paused", "error_503", "slow", "cut_reply"}
    assert replies | {"refuse", "drop", "timeout_before", "timeout_after"} == set(FaultKind)


def test_a_fault_for_one_recipient_meets_no_other(client: Client) -> None:
    bad, good = "+5511900000001", "+5511900000002"
    client.ask("POST", "/simulator/faults", json={"kind": "opted_out", "recipient": bad, "count": None})
    for recipient, status in ((good, 200), (bad, 400), (good, 200), (bad, 400)):
        assert client.ask("POST", SEND, json=message(recipient)).status_code == status
        to = JSON_MESSAGE | {"to": recipient}
        reply = client.ask("POST", JSON, json=to, headers={"Idempotency-Key": recipient})
        assert reply.ok == (status == 200)
    assert {entry["recipient"] for entry in client.sent()} == {good}
    assert client.ask("POST", SEND, data="{").status_code == 400  # no recipient at all


def test_faults_queue_up_and_are_cleared(client: Client) -> None:
    for fault in ({"kind": "error_500"}, {"kind": "unavailable", "count": None, "retry_after": 9}):
        assert client.ask("POST", "/simulator/faults", json=fault).status_code == 201
    replies = [client.ask("POST", SEND, json=message()) for _ in range(4)]
    assert [reply.status_code for reply in replies] == [500, 503, 503, 503]
    assert replies[1].headers["Retry-After"] == "9"
    assert client.ask("DELETE", "/simulator/faults").status_code == 204
    assert client.ask("POST", SEND, json=message()).status_code == 200


def test_a_fault_meets_sending_only_unless_it_says_all(client: Client) -> None:
    client.ask("POST", "/simulator/faults", json={"kind": "error_500", "count": None})
    assert client.ask("GET", "/api/v1/template").status_code == 200
    client.ask("DELETE", "/simulator/faults")
    client.ask("POST", "/simulator/faults", json={"kind": "error_500", "count": 1, "on": "all"})
    assert client.ask("GET", "/api/v1/template").status_code == 500


def test_the_same_message_twice_is_two_lines(client: Client) -> None:
    for attempt in (1, 2):
        client.ask("POST", SEND, json=message(metadata={"rotina_message": 7, "rotina_attempt": attempt}))
    assert [entry["metadata"]["rotina_message"] for entry in client.sent()] == [7, 7]


def test_the_json_api_takes_a_key_once_and_finds_it_again(client: Client, ledger: Path) -> None:
    key = "billing:42/2026-11-20 ção"
    header = {"Idempotency-Key": key.encode()}
    assert client.ask("GET", f"{JSON}/{quote(key, safe='')}").status_code == 404
    assert client.ask("POST", JSON, json=JSON_MESSAGE).status_code == 400  # no key
    assert client.ask("POST", JSON, json=JSON_MESSAGE | {"to": "1"}, headers=header).status_code == 400
    assert client.ask("POST", JSON, json={}, headers=header).status_code == 400
    first = client.ask("POST", JSON, json=JSON_MESSAGE, headers=header)
    again = client.ask("POST", JSON, json=JSON_MESSAGE, headers=header)
    (entry,) = client.sent()
    known = {"id": entry["message_id"], "status": "accepted"}
    assert (first.status_code, first.json(), again.status_code, again.json()) == (201, known, 200, known)
    assert client.ask("GET", "/json/v1/available").json() == {"available": DAILY_LIMIT - 1}
    with serving(create_app(TOKEN, ledger)) as url, Client(url) as restarted:
        assert restarted.ask("GET", f"{JSON}/{quote(entry['metadata']['idempotency_key'])}").json() == known


def test_a_delivery_is_shown_and_told_to_the_webhook(tmp_path: Path) -> None:
    told: list[tuple[str | None, dict[str, Any]]] = []

    async def hear(request: Request) -> Response:
        told.append((request.headers.get("Authorization"), await request.json()))
        return Response(status_code=204)

    listener = Starlette(routes=[Route("/hook", hear, methods=["POST"])])
    with (
        serving(listener) as hook,
        serving(create_app(TOKEN, tmp_path / "ledger", Webhook(f"{hook}/hook", "s3cret"))) as url,
        Client(url) as client,
    ):
        metadata = {"rotina_message": 7}
        sent = client.ask("POST", SEND, json=message(metadata=metadata)).json()["data"]["messageSentId"]
        shown = []
        for order in ({"status": "lido", "times": 2, "at": "2026-11-20T12:00:00Z"}, {"status": "entregue"}):
            reply = client.ask("POST", "/simulator/deliveries", json={"message_id": sent} | order)
            assert reply.json() == {"webhook": [204] * order.get("times", 1)}
            found = client.ask("GET", f"/api/v1/atendimento/mensagem/{sent}").json()
            shown.append(found["data"]["statusEnvio"]["status"])
    assert shown == ["lido", "lido"]  # told out of order, it does not fall back
    assert {authorization for authorization, _ in told} == {"Bearer s3cret"}
    assert [event["data"]["status"] for _, event in told] == ["lido", "lido", "entregue"]
    read = {"messageSentId": sent, "status": "lido", "metadata": metadata}
    assert told[0][1] == {
        "event": "message.status",
        "data": read | {"timestamp": "2026-11-20T12:00:00+00:00"},
    }


def test_deliveries_without_a_webhook_and_with_one_that_is_away(client: Client, tmp_path: Path) -> None:
    sent = client.ask("POST", SEND, json=message()).json()["data"]["messageSentId"]
    order = {"message_id": sent, "status": "entregue"}
    assert client.ask("POST", "/simulator/deliveries", json=order).json() == {"webhook": []}
    away = Webhook("http://127.0.0.1:1/hook", "s3cret")
    assert "s3cret" not in repr(away)
    with serving(create_app(TOKEN, tmp_path / "other", away)) as url, Client(url) as other:
        other.ask("POST", SEND, json=message())
        assert other.ask("POST", "/simulator/deliveries", json=order).json() == {"webhook": [None]}


@pytest.mark.parametrize(
    ("order", "field"),
    [
        ({"message_id": "none", "status": "lido"}, "message_id"),
        ({"message_id": "none", "status": "read"}, "status"),
        ({"status": "lido"}, "message_id"),
        ({"message_id": "none", "status": "lido", "times": -1}, "times"),
        ({"message_id": "none", "status": "lido", "at": "2026-11-20T12:00:00"}, "at"),
    ],
)
def test_a_wrong_delivery_is_refused_by_field(client: Client, order: dict[str, Any], field: str) -> None:
    reply = client.ask("POST", "/simulator/deliveries", json=order)
    assert (reply.status_code, reply.json()["errors"][0]["field"]) == (400, field)
