"""Who asks, and what they may do: Airflow's login and roles, in three steps of rights.

Everybody whom Airflow lets see DAGs reads the console. Who may start runs also acts on the queue and asks for
runs. Who may, besides, change Airflow's variables also maintains and sets. With Airflow's roles: viewer
reads, user acts, op and admin maintain.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import get_user
from anyio import CapacityLimiter, to_thread
from fastapi.security import HTTPAuthorizationCredentials
from starlette.requests import HTTPConnection, Request

#: Auth managers may ask a database what a user may do.
_workers = CapacityLimiter(4)


class Right(IntEnum):
    """What a route asks for; each includes those before it."""

    READ = 1
    ACT = 2
    MAINTAIN = 3


@dataclass(frozen=True)
class Caller:
    """Who asks."""

    login: str
    right: Right | None
    """The most that they may do; None: nothing here."""
    by_cookie: bool
    """Whether the browser sent the proof by itself, so that another site may have made it do so."""

    def may(self, right: Right | None) -> bool:
        """Whether this is theirs to do; None is nobody's."""
        return right is not None and self.right is not None and self.right >= right


async def find_caller(request: Request) -> Caller:
    """Who asks, as Airflow knows them.

    Raises:
        HTTPException: 401 without a login or when it is over, 403 when it is none of ours.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    bearer = None
    if scheme.lower() == "bearer" and token:
        bearer = HTTPAuthorizationCredentials(scheme=scheme, credentials=token)
    user = await get_user(request, None, bearer)
    right = await to_thread.run_sync(_right_of, user, limiter=_workers)
    return Caller(user.get_name(), right, by_cookie=bearer is None)


def caller_of(request: HTTPConnection) -> Caller:
    """Who asks, as the gate found out; everything behind the gate has one."""
    caller: Caller = request.state.caller
    return caller


def _right_of(user: BaseUser) -> Right | None:
    manager = get_auth_manager()
    if not manager.is_authorized_dag(method="GET", user=user):
        return None
    if not manager.is_authorized_dag(method="POST", access_entity=DagAccessEntity.RUN, user=user):
        return Right.READ
    if not manager.is_authorized_variable(method="PUT", user=user):
        return Right.ACT
    return Right.MAINTAIN
