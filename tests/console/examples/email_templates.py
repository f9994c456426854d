"""Requests of the e-mail templates."""

from __future__ import annotations

import psycopg
from fastapi.testclient import TestClient

from tests.console.examples import Example

TEMPLATE = {"subject": "Olá, {{ first_name }}", "html": "<p>Parabéns!</p>", "active": "on"}


def template(owner: psycopg.Connection, _: TestClient) -> None:
    """An e-mail template."""
    owner.execute(
        "insert into crm.email_template (id, name, subject, html, updated_by) "
        "values (1, 'Aniversário', 'Olá', '<p>Olá</p>', 'ana')"
    )


EXAMPLES = [
    Example(
        "POST",
        "/email-template/create",
        form={**TEMPLATE, "name": "Aniversário"},
        action="save_email_template",
    ),
    Example(
        "POST",
        "/email-template/edit",
        query={"pk": "1"},
        form=TEMPLATE,
        prepare=template,
        action="save_email_template",
    ),
    Example(
        "POST", "/email-preview", json={"form": {"subject": TEMPLATE["subject"], "html": TEMPLATE["html"]}}
    ),
]
