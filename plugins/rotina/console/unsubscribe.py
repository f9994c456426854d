"""One-click unsubscribe (RFC 8058): where the link of an e-mail leads to, /rotina/unsubscribe/{token}.

The token is the proof, so there is no login, no cookie and nothing to forge. Only a POST unsubscribes: mail
programs send it when somebody clicks their own button, and the page does with its button. A GET changes
nothing, because what checks links for viruses opens them all. Everything that waits (for the database, for
a secrets backend) is done in threads, in few of them, because the API server's event loop also serves the
tasks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache

import jinja2
import psycopg
from airflow.sdk.exceptions import AirflowException
from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from rotina.errors import SettingError
from rotina.hooks.erp import ErpHook
from rotina.hooks.unsubscribe import load_unsubscribe_settings
from rotina.messaging.unsubscribe import address_of, unsubscribe
from rotina.runs.summary import LAYOUTS

log = logging.getLogger(__name__)

#: Clicks that work at a time, each with at most one database session; the others wait for their turn.
WORKERS = 4

router = APIRouter()
_workers = CapacityLimiter(WORKERS)

_HEADERS = {
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex, nofollow",
    "Referrer-Policy": "no-referrer",  # the token is in the address
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
}


@router.api_route("/unsubscribe/{token}", methods=["GET", "HEAD"])
async def ask(token: str) -> HTMLResponse:
    """The page with the button; 404 for a token that is not ours. Changes nothing."""
    return await to_thread.run_sync(_respond, _ask, token, limiter=_workers)


@router.post("/unsubscribe/{token}")
async def confirm(token: str) -> HTMLResponse:
    """Unsubscribe the address of the token: 200 also when it was before, 404 for a token that is not ours."""
    return await to_thread.run_sync(_respond, _confirm, token, limiter=_workers)


def _ask(address: str) -> HTMLResponse:
    return _page(
        200,
        "Não quer mais receber nossos e-mails?",
        f"O endereço {_masked(address)} deixará de receber nossos e-mails.",
        button="Não quero mais receber",
    )


def _confirm(address: str) -> HTMLResponse:
    with ErpHook().connect() as connection:
        new = unsubscribe(connection, address)
    log.info("Unsubscribed %s", "an address" if new else "an address that was suppressed before")
    return _page(
        200,
        "Pronto",
        f"O endereço {_masked(address)} não receberá mais nossos e-mails. Pode fechar esta página.",
    )


def _respond(step: Callable[[str], HTMLResponse], token: str) -> HTMLResponse:
    """What a step answers, with the address of the token."""
    try:
        address = address_of(load_unsubscribe_settings().keys, token)
        if address is None:
            return _page(
                404,
                "Este link não é válido",
                "Talvez ele tenha sido copiado pela metade. Abra-o de novo a partir do e-mail, "
                "ou responda ao e-mail pedindo o descadastro.",
            )
        return step(address)
    except (SettingError, AirflowException, psycopg.OperationalError) as error:
        # Mail programs try a 503 again; the words of the error have no address in them.
        log.warning("Nobody can unsubscribe: %s", error)
        return _page(503, "Não foi possível agora", "Tente de novo em alguns minutos.")


def _masked(address: str) -> str:
    """Enough for its owner to know which address it is, too little for others."""
    local, _, domain = address.rpartition("@")
    return f"{local[:1]}…@{domain}"


def _page(status: int, title: str, *lines: str, button: str | None = None) -> HTMLResponse:
    content = _template().render(title=title, lines=lines, button=button)
    return HTMLResponse(content, status, _HEADERS)


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(LAYOUTS),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    return environment.get_template("unsubscribe.html.j2")
