"""The message queue in the console: what waits is cancelled, what failed goes again, a message is read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import FrameLocator, Locator, expect

from tests.e2e.airflow_ui import AirflowUi
from tests.e2e.running_stack import RunningStack
from tests.e2e.test_account_data_refresh_ui import NewPage, Screenshot

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e"), pytest.mark.timeout(900)]

GATEWAY = "avisos"
NAME = "Opa! Suite (avisos)"
WAITING, HELD, FAILED, SENT = 14, 3, 6, 4

#: A gateway that is paused, so that nothing is sent, and messages of every sort.
_ADD = f"""
with gateway as (
    insert into crm.gateway (code, name, kind, connection_id, paused_at, paused_by, pause_reason)
    values ('{GATEWAY}', '{NAME}', 'opa_suite', 'gateway_avisos', now(), 'op', 'the token is being renewed')
    returning id
),

windows as (
    insert into crm.send_window (gateway_id, day, opens_at, closes_at)
    select id, unnest(array['monday', 'tuesday', 'wednesday', 'thursday', 'friday']), '08:00', '20:00'
    from gateway
),

used as (
    insert into crm.gateway_usage (gateway_id) select id from gateway
),

template as (
    insert into crm.message_template (gateway_id, code, name, gateway_template_id, body, variables, status)
    select
        id, 'aviso', 'Aviso de vencimento', 'gw-aviso',
        'Olá, {{{{1}}}}! Seu boleto de R$ {{{{2}}}} vence em {{{{3}}}}.',
        array['first_name', 'value', 'due_on'], 'approved'
    from gateway
    returning id
),

added as (
    insert into crm.message (
        gateway_id, template_id, dedupe_key, origin, origin_key, customer_id, recipient, recipient_name,
        payload, status, ready, reason, error, tries, created_at, send_after, expires_at
    )
    select
        g.id, t.id, 'avisos:' || s.status || n, 'billing_messages', n::text, 900000 + n,
        '+5511900000' || lpad(n::text, 3, '0'),
        (array['Ana Souza', 'Bruno Lima', 'Comercial Almeida Ltda'])[1 + n % 3],
        '{{"template": "aviso", "variables": ["Ana", "129,90", "20/11/2026"]}}',
        s.status, s.status = 'waiting' and n % 4 > 0, s.reason, s.error, s.tries,
        now() - interval '1 hour', now() - interval '1 hour', now() + interval '1 day'
    from
        gateway as g,
        template as t,
        (
            values
                ('waiting', {WAITING}, null, null, 0),
                ('held', {HELD}, 'in_attendance', null, 1),
                ('failed', {FAILED}, 'rejected', '131026: the number has no WhatsApp account', 2),
                ('sent', {SENT}, 'accepted', null, 1)
        ) as s (status, messages, reason, error, tries),
        lateral generate_series(1, s.messages) as n
    returning id, status, created_at
)

insert into crm.message_attempt (message_id, number, token, started_at, ended_at, outcome, code, error)
select
    a.id, t.number, t.number, a.created_at + t.number * interval '9 minutes',
    a.created_at + t.number * interval '9 minutes' + interval '1.4 seconds', t.outcome, t.code, t.error
from added as a
cross join (
    values
        (1, 'transient', 503, 'Service Unavailable'),
        (2, 'rejected', 400, '131026: the number has no WhatsApp account')
) as t (number, outcome, code, error)
where a.status = 'failed'
"""

_OURS = f"select id from crm.gateway where code = '{GATEWAY}'"
_REMOVE = (
    f"delete from crm.message_attempt where message_id in "
    f"(select id from crm.message where gateway_id in ({_OURS}))",
    f"delete from crm.message where gateway_id in ({_OURS})",
    f"delete from crm.message_template where gateway_id in ({_OURS})",
    f"delete from crm.gateway_usage where gateway_id in ({_OURS})",
    f"delete from crm.send_window where gateway_id in ({_OURS})",
    f"delete from crm.gateway where code = '{GATEWAY}'",
)


@pytest.fixture
def messages(stack: RunningStack) -> Iterator[None]:
    """Messages of a gateway of our own; taken back, with the gateway."""
    for statement in (*_REMOVE, _ADD):
        stack.execute(statement)
    yield
    for statement in _REMOVE:
        stack.execute(statement)


def by_status(stack: RunningStack) -> dict[str, int]:
    rows = stack.rows(
        f"select status, count(*) from crm.message where gateway_id in ({_OURS}) group by status"
    )
    return {row["status"]: row["count"] for row in rows}


def card(console: FrameLocator) -> Locator:
    """The gateway, one click from the first page of the console."""
    console.get_by_role("link", name="Gateways", exact=True).click()
    return console.locator(f'[data-gateway="{GATEWAY}"]')


def wait_until_loaded(element: Locator) -> None:
    """Until the script of the page that an element is in has read it."""
    element.evaluate(
        "() => document.readyState === 'complete' || new Promise(done => addEventListener('load', done))"
    )


def last_entry(stack: RunningStack) -> tuple[object, ...]:
    (entry,) = stack.rows(
        "select login, action, target, records from crm.audit_entry order by id desc limit 1"
    )
    return tuple(entry.values())


def test_what_waits_at_one_gateway_is_cancelled(
    stack: RunningStack, messages: None, new_page: NewPage, screenshot: Screenshot
) -> None:
    page = new_page()
    ui = AirflowUi(page, stack)
    ui.enter("user")
    clicks = ui.go_home()
    console = ui.open_console()
    gateway = card(console)
    expect(gateway).to_contain_text("the token is being renewed")
    expect(console.locator(".rate-plot svg").first).to_be_visible()
    screenshot(page, "console-gateways")
    gateway.get_by_role("button", name="Cancel the pending…").click()
    dialog = console.get_by_role("dialog", name=f"Cancel messages: {NAME}")
    expect(dialog.locator("dd")).to_have_text([str(WAITING + HELD)])  # counted before
    screenshot(page, "console-cancel")
    dialog.get_by_role("button", name="Cancel the messages").click()
    expect(console.get_by_role("status").first).to_contain_text(f"{WAITING + HELD} messages cancelled.")
    assert len(clicks) <= 4

    assert by_status(stack) == {"cancelled": WAITING + HELD, "failed": FAILED, "sent": SENT}
    target = {"filter": {"gateway": GATEWAY, "statuses": ["waiting", "held"]}}
    assert last_entry(stack) == ("user", "cancel", target, WAITING + HELD)


def test_what_failed_is_sent_again(
    stack: RunningStack, messages: None, new_page: NewPage, screenshot: Screenshot
) -> None:
    page = new_page()
    ui = AirflowUi(page, stack)
    ui.enter("user")
    clicks = ui.go_home()
    console = ui.open_console()
    card(console).get_by_role("button", name="Retry the failed…").click()
    dialog = console.get_by_role("dialog", name=f"Send again what failed: {NAME}")
    expect(dialog.locator("dd")).to_have_text([str(FAILED)])
    screenshot(page, "console-retry")
    dialog.get_by_role("button", name="Send again").click()
    expect(console.get_by_role("status").first).to_contain_text(f"{FAILED} messages go again.")
    assert len(clicks) <= 4

    assert by_status(stack) == {"waiting": WAITING + FAILED, "held": HELD, "sent": SENT}
    target = {"filter": {"gateway": GATEWAY, "statuses": ["failed"]}}
    assert last_entry(stack) == ("user", "retry", target, FAILED)


def test_messages_are_found_chosen_and_read_in_full(
    stack: RunningStack, messages: None, new_page: NewPage, screenshot: Screenshot
) -> None:
    page = new_page()
    ui = AirflowUi(page, stack)
    ui.enter("user")
    ui.go_home()
    console = ui.open_console()
    console.get_by_role("link", name="Message queue", exact=True).click()
    rows = console.locator("tr[data-message]")
    wait_until_loaded(rows.first)
    console.get_by_label("Gateway", exact=True).select_option(GATEWAY)
    expect(rows).to_have_count(WAITING + HELD + FAILED + SENT)
    screenshot(page, "console-queue")
    console.get_by_role("group", name="Status").get_by_role("link", name="Failed").click()
    expect(rows).to_have_count(FAILED)
    # Only what their status allows is offered, and nothing before something is chosen.
    retry = console.get_by_role("button", name="Retry…")
    expect(console.locator("button[data-action]")).to_have_count(1)
    expect(retry).to_be_disabled()
    rows.first.get_by_role("checkbox").check()
    retry.dblclick()
    dialog = console.get_by_role("dialog")
    expect(dialog).to_have_count(1)  # a second click opens no second one
    expect(dialog.locator("dd")).to_have_text(["1"])
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_have_count(0)

    rows.first.get_by_role("link").click()
    expect(console.get_by_role("heading", name="What became of it")).to_be_visible()
    expect(console.locator(".timeline-of > li")).to_have_count(3)
    expect(console.get_by_text("Service Unavailable")).to_be_visible()
    expect(console.get_by_text("Seu boleto de R$ 129,90 vence em 20/11/2026.")).to_be_visible()
    screenshot(page, "console-message")
    assert by_status(stack)["failed"] == FAILED


def test_an_email_is_read_as_its_recipient_reads_it(stack: RunningStack, new_page: NewPage) -> None:
    (mail,) = stack.rows(
        "select id, payload ->> 'subject' as subject, recipient_name from crm.message "
        "where origin = 'birthday_emails' order by id desc limit 1"
    )
    page = new_page()
    AirflowUi(page, stack).enter("viewer")
    page.goto(f"{stack.settings.airflow_url}/rotina/queue/{mail['id']}")
    expect(page.get_by_role("heading", name=mail["subject"])).to_be_visible()
    body = page.frame_locator("iframe.message-html").locator("body")
    expect(body).to_contain_text(mail["recipient_name"].split()[0])
    expect(body).not_to_contain_text("{{")
    page.get_by_text("As plain text").click()
    expect(page.locator("pre.message-text")).to_be_visible()
