"""What the adapters that speak HTTP share: the connections, and what a reply, or none, proves.

Nothing is sent twice: a POST is never repeated, no redirect is followed, and whatever breaks once a
connection was made counts as "maybe sent".
"""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from rotina.errors import SettingError
from rotina.messaging.adapters import HttpEndpoint
from rotina.messaging.adapters.http_connections import (
    ConnectionLostError,
    HttpConnections,
    NoReplyError,
    NotConnectedError,
    ProxyRefusedError,
    RawReply,
)
from rotina.messaging.adapters.replies import LONGEST_READ, one_line, retry_after, shown
from rotina.messaging.outcome import Outcome, Result

#: Refusals that need no reading: no login, no credit, a wrong method, a proxy's login. 408 is a server that
#: tired of waiting and does not say what it did.
_PLAIN_STATUSES = {
    401: Outcome.CONFIGURATION,
    402: Outcome.CONFIGURATION,
    405: Outcome.CONFIGURATION,
    407: Outcome.CONFIGURATION,
    408: Outcome.MAYBE_SENT,
}


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns))


#: What any other refusal means by its text (in lower case, without accents, variables and addresses masked).
#: The first that fits counts, so the order matters: a text on this message's number or variables may name the
#: template and the channel too, and one on templates or accounts may speak of opting out or of blocking.
_PHRASES = (
    (
        Outcome.IN_ATTENDANCE,
        _any(
            r"em atendimento|atendimento (em )?(andamento|aberto|iniciado)",
            r"in attendance|(started|open) customer service",
        ),
    ),
    (
        Outcome.REJECTED,
        _any(
            r"variave(l|is)|variable|parametro(?!s? token)",
            r"\bcaracter(es)?\b|\bcharacters\b|muito long[ao]|too long",
            # "o token do número é inválido" is not about the number of this message
            r"(numero|telefone|celular|contato|canalcliente|phone|number)"
            r"((?!token|credencia|credential|sessao|session).)* (invalid|inexistente)",
            r"(invalid|unknown) (phone|number|recipient|contact)",
        ),
    ),
    (
        Outcome.CONFIGURATION,
        _any(
            # who we are, and what we have paid for
            r"\b(token|credencia(l|is)|credentials?|sessao|session|saldo|balance|creditos?|credits?)\b",
            r"\b(assinatura|subscription|plano|conta|account)\b.*"
            r"(vencid|expirad|suspens|cancelad|bloquead|expired|suspended|blocked)",
            # what we send with
            r"\b(template|modelo|canal|channel)\b.*"
            r"(nao (encontrad|existe|aprovad)|inexistente|invalid|pausad|desativad|inativ|reprovad|rejeitad"
            r"|bloquead|not (found|approved)|unknown|paused|disabled|inactive|rejected|blocked)",
            r"(unknown|invalid|paused|disabled|inactive) (template|channel)",
            # blocked by the network, not by the recipient
            r"\b(meta|whatsapp|facebook) bloqueou\b",
            r"bloqueou (o|a|os|as|este|esta|nosso|nossa) (template|modelo|canal|conta)\b",
        ),
    ),
    (
        Outcome.TRANSIENT,
        _any(
            r"\blimite\b.* (atingid|excedid|ultrapassad|esgotad)|\b(limit|quota)\b.* (reached|exceeded)",
            r"too many requests|muitas requisicoes",
        ),
    ),
    (
        Outcome.OPTED_OUT,
        _any(
            r"\bopt(ed)?[ -]?out\b|descadastr|unsubscribed|suppress|suprimid",
            r"nao (quer|deseja|aceita) receber",
            r"(usuario|contato|cliente|destinatario) bloqueou\b",
            r"bloqueou (este|esta|o|a|nosso|nossa) (numero|contato|empresa|remetente)\b",
        ),
    ),
)

#: Refusals of a text that says nothing known: forbidden, or a path that the gateway does not have. Of any
#: other status they are about this message.
_OTHER_STATUSES = {403: Outcome.CONFIGURATION, 404: Outcome.CONFIGURATION}

#: A message that the queue should never have taken; no call is made.
NO_TEMPLATE = Result(Outcome.REJECTED, error="its payload has no template with variables")


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP reply, whatever its status."""

    status: int
    body: Any
    """The parsed JSON; None when the body is empty, cut, too long or not JSON."""
    headers: Mapping[str, str]
    """By name in lower case."""

    @property
    def ok(self) -> bool:
        """Whether it is a 2xx with a JSON object."""
        return 200 <= self.status < 300 and isinstance(self.body, dict)

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait, from the header Retry-After; None when it is absent or unreadable."""
        return retry_after(self.headers.get("retry-after"), datetime.now(UTC))


class HttpClient:
    """The requests to one gateway. To be made and used inside one event loop."""

    def __init__(self, endpoint: HttpEndpoint, connections: int, seconds: float) -> None:
        """`connections` are kept at most; a whole call takes `seconds` at most.

        Raises SettingError when the environment names a proxy of a kind that cannot be used.
        """
        base = urlsplit(endpoint.base_url)
        proxy = _proxy(base)
        self._path = base.path.rstrip("/")
        self._seconds = seconds
        self._connections = HttpConnections(
            endpoint.base_url,
            headers={
                "Authorization": f"Bearer {endpoint.token}",
                "Content-Type": "application/json",
                "Accept": "application/json",
                "Accept-Encoding": "identity",  # a small reply could become a huge one
                "User-Agent": "rotina",
            },
            keep=connections,
            # Connecting must fail before the whole call does: only then is it known that nothing was sent.
            connect_seconds=min(endpoint.connect_timeout, seconds / 2),
            seconds=seconds,
            tls=_tls_context() if "https" in (base.scheme, urlsplit(proxy or "").scheme) else None,
            proxy=proxy,
        )

    def target(self, path: str) -> bytes:
        """What a request for a path asks for; the path is already percent-encoded."""
        return f"{self._path}{path}".encode("ascii")

    async def post(
        self, target: bytes, content: Any, headers: Mapping[str, str] | None = None
    ) -> Reply | Result:
        """Send `content` as JSON, once; returns the reply, or what it proves that there was none."""
        try:
            return _read(
                await self._connections.request(b"POST", target, json.dumps(content).encode(), headers)
            )
        except NotConnectedError as error:
            return Result(Outcome.TRANSIENT, error=shown(_reason(error.__cause__), prefix="not connected: "))
        except NoReplyError:
            return Result(Outcome.MAYBE_SENT, error=f"no reply within {self._seconds:g} s")
        except ConnectionLostError as error:
            return Result(Outcome.MAYBE_SENT, error=f"connection lost: {error}")

    async def get(self, target: bytes) -> Reply | None:
        """Ask; None when there was no reply."""
        try:
            return _read(await self._connections.request(b"GET", target))
        except (NotConnectedError, NoReplyError, ConnectionLostError):
            return None

    async def close(self) -> None:
        """Close the connections."""
        self._connections.close()


def _read(reply: RawReply) -> Reply:
    return Reply(reply.status, _json_or_none(reply.body) if reply.whole else None, reply.headers)


def refusal(reply: Reply, private: Collection[str]) -> Result:
    """The class of a reply that is not an acceptance.

    A 2xx with an error in its body is read as the HTTP status of the error's `code`. `private` is what must
    neither show in the error text nor decide: the gateway may echo it.
    """
    status, body = reply.status, reply.body
    if 200 <= status < 300:
        if not reply.ok or not ("status" in body or body.get("error")):
            return Result(Outcome.MAYBE_SENT, code=status, error=f"HTTP {status} with no usable reply in it")
        status = _code(body)
    said = _text(body)
    error = f"HTTP {reply.status}" + (f", code {status}" if status != reply.status else "")
    if said:
        error = shown(said, private, prefix=f"{error}: ")
    wait = reply.retry_after
    outcome = _refused(status, _without(said, private), wait)
    return Result(
        outcome, code=reply.status, error=error, retry_after=wait if outcome is Outcome.TRANSIENT else None
    )


def _refused(status: int, said: str, wait: float | None) -> Outcome:
    if status == 429 or (status == 503 and wait is not None):
        return Outcome.TRANSIENT
    if status >= 500:
        return Outcome.MAYBE_SENT
    if status < 400:  # redirected: the address is not the gateway's own
        return Outcome.CONFIGURATION
    if status in _PLAIN_STATUSES:
        return _PLAIN_STATUSES[status]
    for outcome, phrases in _PHRASES:
        if phrases.search(said):
            return outcome
    return _OTHER_STATUSES.get(status, Outcome.REJECTED)


def _without(said: str, private: Iterable[str]) -> str:
    """A text folded, with the private values in it masked; as whole words: Ana is not in "canal"."""
    said = folded(one_line(said))
    for value in sorted({folded(one_line(value)) for value in private} - {""}, key=len, reverse=True):
        said = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", "***", said)
    return said


def folded(text: str) -> str:
    """A text in lower case, without accents, with single spaces."""
    decomposed = unicodedata.normalize("NFKD", " ".join(text.split()))
    return "".join(char for char in decomposed if not unicodedata.combining(char)).casefold()


def _code(body: dict[str, Any]) -> int:
    """The HTTP status that an error in a body stands for: `code` or `error.code`; 400 if it tells none."""
    error = body.get("error")
    for code in (body.get("code"), error.get("code") if isinstance(error, dict) else None):
        if isinstance(code, int) and 400 <= code < 600:
            return code
    return 400


def _text(body: Any) -> str:
    """What a gateway says in the body of a refusal, else empty.

    It is `data.message`, `message`, `error.message` or `error`.
    """
    if not isinstance(body, dict):
        return ""
    data, error = body.get("data"), body.get("error")
    candidates = (
        data.get("message") if isinstance(data, dict) else None,
        body.get("message"),
        error.get("message") if isinstance(error, dict) else error,
    )
    return next((text for text in candidates if isinstance(text, str)), "")[:LONGEST_READ]


def template_of(payload: Mapping[str, Any]) -> tuple[str, list[str]] | None:
    """Template and variables of a payload; None when it has not both, as a message of this kind must."""
    template, variables = payload.get("template"), payload.get("variables")
    if isinstance(template, str) and isinstance(variables, list):
        return template, [str(value) for value in variables]
    return None


def _json_or_none(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _reason(error: BaseException | None) -> str:
    """Why a connection was not made."""
    match error:
        case TimeoutError() | NoReplyError():
            return "timeout"
        case ProxyRefusedError(status=status):
            return f"the proxy answered {status}"
        case socket.gaierror():
            return "name not resolved"
        case ssl.SSLError():
            return f"TLS: {getattr(error, 'verify_message', None) or error.reason}"
        case ConnectionLostError():
            return f"the proxy: {error}"
        case OSError(errno=int(number)):
            return os.strerror(number)
        case OSError() if numbers := re.findall(r"\[Errno (\d+)\]", str(error)):  # of several addresses
            return ", ".join(dict.fromkeys(os.strerror(int(number)) for number in numbers))
        case ConnectionResetError():
            return "closed as soon as it stood"
        case _:
            return type(error).__name__


def _tls_context() -> ssl.SSLContext:
    """The CA bundle that REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names, as GatewayHook; else the system's."""
    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    if bundle and Path(bundle).is_dir():
        return ssl.create_default_context(capath=bundle)
    return ssl.create_default_context(cafile=bundle or None)


def _proxy(base: SplitResult) -> str | None:
    """The proxy that the environment names for the gateway."""
    proxies = getproxies()
    proxy = proxies.get(base.scheme) or proxies.get("all")
    if not proxy or (base.hostname and proxy_bypass(base.hostname)):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    field = f"{base.scheme}_proxy"
    try:
        parts = urlsplit(proxy)
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:  # not shown, since it may hold a password
        problem = "is no address of a proxy; in a password / # [ ] @ must be written as %2F %23 %5B %5D %40"
        raise SettingError(field, None, problem)
    if parts.scheme not in ("http", "https"):
        raise SettingError(field, parts.scheme, "must be a proxy of http or https")
    return proxy
