"""Airflow's public REST API, as the person who asks: what Airflow allows them is decided there.

The call goes to the application that the console is mounted in, without a network between: with the login of
the request that is worked for, through Airflow's own checks and into its own audit log. So the console reads
and writes nothing of Airflow's database itself.
"""

from __future__ import annotations

from typing import Any

import httpx
from anyio import from_thread
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp

#: Nothing is looked up by it: the call does not leave the process.
_BASE_URL = "http://airflow"

#: What of a request tells Airflow who asks, and how.
_CARRIED = ("authorization", "cookie", "referer", "accept-language")


class AirflowError(HTTPException):
    """Airflow refused; its words are in `detail`."""


class Airflow:
    """The API as the caller of a request, for handlers of pages (which run in worker threads)."""

    def __init__(self, request: Request) -> None:
        self._application: ASGIApp = request.scope["rotina.airflow"]
        self._headers = {name: value for name, value in request.headers.items() if name in _CARRIED}

    def get(self, path: str, **parameters: Any) -> dict[str, Any]:
        """What Airflow answers to GET /api/v2/`path`.

        Raises:
            AirflowError: it refuses.
        """
        return self._call("GET", path, params=parameters)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """What Airflow answers to POST /api/v2/`path`.

        Raises:
            AirflowError: it refuses.
        """
        return self._call("POST", path, json=body)

    def delete(self, path: str) -> None:
        """DELETE /api/v2/`path`.

        Raises:
            AirflowError: it refuses.
        """
        self._call("DELETE", path)

    def _call(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        reply: httpx.Response = from_thread.run(lambda: self._send(method, path, **arguments))
        if reply.is_error:
            raise AirflowError(reply.status_code, _words(reply))
        answer: dict[str, Any] = reply.json() if reply.content else {}
        return answer

    async def _send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self._application, raise_app_exceptions=False)
        async with httpx.AsyncClient(
            transport=transport, base_url=_BASE_URL, headers=self._headers, timeout=60, trust_env=False
        ) as client:
            return await client.request(method, f"/api/v2/{path}", **arguments)


def _words(reply: httpx.Response) -> str:
    """What Airflow says of a refusal."""
    try:
        detail = reply.json()["detail"]
    except (ValueError, KeyError, TypeError):
        return reply.reason_phrase
    if isinstance(detail, list):
        return "; ".join(f"{'.'.join(map(str, one.get('loc', ())))}: {one.get('msg', one)}" for one in detail)
    return str(detail)
