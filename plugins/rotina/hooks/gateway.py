"""GatewayHook: the one door to a message gateway. It sends each request once and tells what became of it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ssl import SSLError
from typing import TYPE_CHECKING, Any, NoReturn, Self
from urllib.parse import quote, urlsplit

from airflow.providers.http.hooks.http import HttpHook
from airflow.sdk.exceptions import AirflowNotFoundException
from requests import PreparedRequest, ReadTimeout, Request, RequestException, Response, Session
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    ReadTimeoutError,
)

from rotina.errors import MaybeSentError, NotSentError, RotinaError, SettingError
from rotina.messaging.adapters import HttpEndpoint
from rotina.messaging.adapters.replies import retry_after as _retry_after

if TYPE_CHECKING:
    from airflow.sdk import Connection

DEFAULT_CONNECT_TIMEOUT = 5.0
DEFAULT_READ_TIMEOUT = 30.0
_LONGEST_TIMEOUT = 3600.0


class GatewayError(RotinaError):
    """The gateway gave no usable reply. The text never holds the token, the recipient or a body.

    Attributes:
        host: the gateway, as host:port.
        kind: what happened, one of a few fixed texts, fit for grouping.
        detail: more about it, or empty.
    """

    def __init__(self, host: str, kind: str, detail: str = "") -> None:
        super().__init__(host, kind, detail)
        self.host = host
        self.kind = kind
        self.detail = detail

    def __str__(self) -> str:
        return f"gateway {self.host}: {self.kind}" + (f" ({self.detail})" if self.detail else "")


class NotSent(GatewayError, NotSentError):  # noqa: N818 - named for the outcome it proves
    """Not one byte of the request left: it is safe to try again."""


class MaybeSent(GatewayError, MaybeSentError):  # noqa: N818 - named for the outcome it leaves open
    """The request left, or may have left, and no reply came: never send it again blindly."""


class UnexpectedReplyError(GatewayError):
    """The gateway answered a question with an error, or with something that is no answer to it."""


@dataclass(frozen=True)
class GatewayReply:
    """Any HTTP reply, whatever its status. Its repr leaves out what may be personal.

    A success without a body is no answer: HTTP cannot always tell a short reply from one cut off.
    """

    status: int
    body: Any = field(repr=False)
    """The parsed JSON; None when the body is empty or not JSON."""
    headers: Mapping[str, str] = field(repr=False)
    """Names in any case."""
    retry_after: float | None = None
    """Seconds to wait, from Retry-After (seconds or HTTP-date); None when absent or unreadable."""


@dataclass(frozen=True)
class Template:
    """A message template as the gateway lists it."""

    id: str
    shortcut: str
    text: str


@dataclass(frozen=True)
class DailyLimit:
    """How many template messages a channel sent today, may send in a day, and may still send."""

    sent: int
    limit: int
    available: int


class GatewayHook(HttpHook):
    """One gateway account, over one kept-alive session; close it, or use it in a `with`.

    The Airflow connection (type http) gives the address (`schema` + `host` + `port`, or a whole URL in
    `host`), the bearer token (`password`) and, in its extra, `connect_timeout` and `timeout` (seconds to
    wait for the connection, and for each part of the reply). Unlike HttpHook it takes no headers from the
    extra, logs no body, follows no redirect and repeats nothing. Proxies and CA bundles come from the
    environment (HTTPS_PROXY, REQUESTS_CA_BUNDLE). Not to be shared between threads.
    """

    default_conn_name = "message_gateway"
    hook_name = "Message gateway"

    def __init__(self, http_conn_id: str = default_conn_name) -> None:
        super().__init__(http_conn_id=http_conn_id)
        self._session: Session | None = None
        self._timeout = (DEFAULT_CONNECT_TIMEOUT, DEFAULT_READ_TIMEOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the kept-alive connections; the next call opens new ones and reads the settings again."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def get_conn(self) -> Session:  # type: ignore[override]  # headers and options are not for callers to give
        """The session, made at the first use.

        Raises:
            SettingError: the Airflow connection is missing, or a field of it is wrong.
        """
        if self._session is None:
            connection = self._airflow_connection()
            self.base_url = self._read_base_url(connection)
            self._timeout = self._read_timeout(connection)
            session = _Session()
            session.auth = _BearerAuth(self._read_token(connection))
            session.mount("http://", _OnceAdapter())
            session.mount("https://", _OnceAdapter())
            self._session = session
        return self._session

    def run(self, *_: Any, **__: Any) -> NoReturn:
        """Not offered: HttpHook's own way follows redirects, logs error bodies and hides the status."""
        raise NotImplementedError(
            "GatewayHook has no run(): use call(), which sends once and says what happened"
        )

    def call(self, method: str, path: str, json: Any = None) -> GatewayReply:
        """Send one request, once, and return the reply whatever its status; redirects are not followed.

        Args:
            method: the HTTP method.
            path: from the root of the gateway's address, with its leading slash.
            json: what to send as the JSON body, if anything.

        Raises:
            NotSent: nothing was delivered (refused, unknown name, connect timeout, TLS failure).
            MaybeSent: the request may have been delivered (read timeout, connection lost).
            SettingError: the Airflow connection is missing or wrong; nothing was sent.
        """
        if not path.startswith("/"):
            raise ValueError(f"path must start with a slash: {path!r}")
        session = self.get_conn()
        request = session.prepare_request(Request(method, self.base_url + path, json=json))
        environment = session.merge_environment_settings(request.url, {}, False, None, None)
        try:
            response = session.send(request, timeout=self._timeout, **environment)
        except (RequestException, HTTPError) as error:
            # `from None`: the original carries the request, hence the token and the recipient
            raise _failure(self._host, error) from None
        self.log.debug("%s %s: HTTP %d", method, path, response.status_code)
        return GatewayReply(
            status=response.status_code,
            body=_json_or_none(response),
            headers=response.headers,
            retry_after=_retry_after(response.headers.get("Retry-After"), datetime.now(UTC)),
        )

    def endpoint(self) -> HttpEndpoint:
        """Where the adapters of the message queue reach this gateway; opens no connection.

        Raises:
            SettingError: the Airflow connection is missing, or a field of it is wrong.
        """
        connection = self._airflow_connection()
        connect_timeout, _ = self._read_timeout(connection)
        return HttpEndpoint(self._read_base_url(connection), self._read_token(connection), connect_timeout)

    def get_templates(self) -> list[Template]:
        """The templates that the gateway knows.

        Raises:
            UnexpectedReplyError: an error status, or no list of templates. And what `call` raises.
        """
        data = self._ask("/api/v1/template")
        try:
            return [Template(item["_id"], item["atalho"], item["texto"]) for item in data]
        except (KeyError, TypeError) as error:
            raise UnexpectedReplyError(self._host, "unexpected reply", "not a list of templates") from error

    def daily_limit(self, channel_id: str) -> DailyLimit | None:
        """The daily sending limit of a channel; None when the channel has none.

        Raises:
            UnexpectedReplyError: an error status, or no limits in the reply. And what `call` raises.
        """
        channel = quote(channel_id, safe="")
        data = self._ask(f"/api/v1/canal-comunicacao/{channel}/template/limites-diarios-envio")
        if data == {}:
            return None
        try:
            return DailyLimit(data["messagesSent"], data["dailyLimit"], data["availableAmount"])
        except (KeyError, TypeError) as error:
            raise UnexpectedReplyError(self._host, "unexpected reply", "no daily limit in it") from error

    def test_connection(self) -> tuple[bool, str]:
        """Whether the gateway answers with this token, and a sentence on it. Sends no message."""
        try:
            templates = self.get_templates()
        except RotinaError as error:
            return False, str(error)
        return True, f"gateway {self._host} answered: {len(templates)} templates"

    def _ask(self, path: str) -> Any:
        """The data of a GET, with or without the envelope {status, code, data}."""
        reply = self.call("GET", path)
        body = reply.body
        enveloped = isinstance(body, dict) and "status" in body
        if reply.status != 200 or (enveloped and body["status"] != "success"):
            raise UnexpectedReplyError(self._host, f"HTTP {reply.status}", path)
        return body.get("data") if enveloped else body

    @property
    def _host(self) -> str:
        return urlsplit(self.base_url).netloc

    def _airflow_connection(self) -> Connection:
        try:
            return self.get_connection(self.http_conn_id)
        except AirflowNotFoundException:
            raise SettingError("connection", self.http_conn_id, "not defined, or not readable") from None

    def _field(self, name: str) -> str:
        return f"connection {self.http_conn_id}: {name}"

    def _read_base_url(self, connection: Connection) -> str:
        host = (connection.host or "").strip()
        if not host:
            raise SettingError(self._field("host"), None, "is blank; give the gateway's address")
        if "@" in host:  # what stands before it may be a secret: do not show the value
            raise SettingError(
                self._field("host"), None, "must not hold credentials; the token is the password"
            )
        if "://" not in host:
            if not connection.schema:
                raise SettingError(self._field("schema"), None, "is blank; give http or https")
            host = f"{connection.schema}://{host}"
        url = urlsplit(host)
        try:
            port = url.port or connection.port
        except ValueError:
            raise SettingError(
                self._field("host"), connection.host, "its port is not a port number"
            ) from None
        if url.scheme not in ("http", "https"):
            wrong = "host" if "://" in (connection.host or "") else "schema"
            raise SettingError(self._field(wrong), url.scheme, "must be http or https")
        if not url.hostname or url.query or url.fragment or re.search(r"\s", host):
            raise SettingError(self._field("host"), connection.host, "is not the address of a server")
        if url.port and connection.port and url.port != connection.port:
            raise SettingError(self._field("port"), connection.port, f"the host already says {url.port}")
        name = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
        return f"{url.scheme}://{name}{f':{port}' if port else ''}{url.path.rstrip('/')}"

    def _read_token(self, connection: Connection) -> str:
        token = connection.password or ""
        # checked here, because the libraries below quote a header they refuse
        if not re.fullmatch(r"[\x21-\x7e]+", token):
            problem = "has spaces or characters outside ASCII" if token.strip() else "is blank"
            raise SettingError(self._field("password"), None, f"{problem}; it must be the gateway's token")
        return token

    def _read_timeout(self, connection: Connection) -> tuple[float, float]:
        try:
            extra = json.loads(connection.extra or "{}")
        except ValueError:
            extra = None
        if not isinstance(extra, dict):
            raise SettingError(self._field("extra"), None, "is not a JSON object")
        if not extra.get("srv_lookup"):
            extra.pop("srv_lookup", None)  # Airflow's form of http connections always writes it
        if unknown := sorted(extra.keys() - {"connect_timeout", "timeout"}):
            raise SettingError(
                self._field("extra"),
                ", ".join(unknown),
                "not known; only connect_timeout and timeout are read, and nothing becomes a header",
            )
        return (
            self._read_seconds("connect_timeout", extra.get("connect_timeout", DEFAULT_CONNECT_TIMEOUT)),
            self._read_seconds("timeout", extra.get("timeout", DEFAULT_READ_TIMEOUT)),
        )

    def _read_seconds(self, name: str, value: object) -> float:
        seconds = math.nan
        if isinstance(value, int | float | str) and not isinstance(value, bool):
            try:
                seconds = float(value)  # a connection given as a URI has text in its extra
            except ValueError:
                seconds = math.nan
        if not 0 < seconds <= _LONGEST_TIMEOUT:
            problem = f"must be a number of seconds above 0, at most {_LONGEST_TIMEOUT:.0f}"
            raise SettingError(self._field(f"extra {name}"), value, problem)
        return seconds


class _Session(Session):
    """A session that follows no redirect, nor looks where it leads (which may raise)."""

    def get_redirect_target(self, resp: Response) -> str | None:
        return None


class _BearerAuth(AuthBase):
    """Sets the token. As an auth object, not a header: else a .netrc entry of the host would replace it."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


# What may be sent again hangs on one question: had the connection been made? The exceptions of requests do
# not answer it: a TLS error or a reset may come from the handshake or from the middle of a reply. So the
# connection itself marks whatever goes wrong while connecting, before the first byte of a request.


class _NoConnectionError(NewConnectionError):
    """Connecting failed: TCP, a proxy's tunnel, or the TLS handshake."""

    def __init__(self, connection: HTTPConnection, error: Exception) -> None:
        super().__init__(connection, str(error))
        self.error = error


@contextmanager
def _connecting(connection: HTTPConnection) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise _NoConnectionError(connection, error) from error


class _HTTPConnection(HTTPConnection):
    def connect(self) -> None:
        with _connecting(self):
            super().connect()


class _HTTPSConnection(HTTPSConnection):
    def connect(self) -> None:
        with _connecting(self):
            super().connect()


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


_POOLS = {"http": _HTTPPool, "https": _HTTPSPool}


class _OnceAdapter(HTTPAdapter):
    """Repeats nothing, and knows whether a connection was made."""

    def __init__(self) -> None:
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> ProxyManager:
        manager: ProxyManager = super().proxy_manager_for(proxy, **kwargs)
        if type(manager) is ProxyManager:  # one for SOCKS has connections of its own
            manager.pool_classes_by_scheme = _POOLS
        return manager


def _failure(host: str, error: Exception) -> GatewayError:
    """The outcome that an exception of requests or urllib3 proves; without proof, MaybeSent."""
    reason: object = error.args[0] if error.args else None
    if isinstance(reason, MaxRetryError):
        reason = reason.reason
    if isinstance(reason, ProxyError):
        reason = reason.original_error
    if isinstance(reason, _NoConnectionError):
        return NotSent(host, *_connect_failure(reason.error))
    if isinstance(reason, ConnectTimeoutError):  # every failed connect of urllib3, here through SOCKS
        return NotSent(host, *_connect_failure(reason))
    if isinstance(error, ReadTimeout) or isinstance(reason, ReadTimeoutError):
        return MaybeSent(host, "read timeout")
    return MaybeSent(host, "connection lost")


def _connect_failure(error: Exception) -> tuple[str, str]:
    """Kind and detail of a failed connect."""
    match error:
        case NameResolutionError():
            return "name not resolved", ""
        case NewConnectionError(__cause__=ConnectionRefusedError()):
            return "connection refused", ""
        case NewConnectionError(__cause__=OSError(strerror=str(problem))):
            return "not connected", problem
        case ConnectTimeoutError(__cause__=TimeoutError()) | TimeoutError():
            return "connect timeout", ""
        case SSLError():
            return "TLS failure", getattr(error, "verify_message", None) or error.reason or ""
        case _:
            return "not connected", type(error).__name__


def _json_or_none(response: Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None
