"""Who asks, and what they may do: Airflow's login and roles, in three steps of rights.

Everybody whom Airflow lets see all DAGs of the agenda reads the console. Who may start runs of all of them
also acts on the queue and asks for runs. Who may, besides, change Airflow's variables also maintains and
sets. With Airflow's roles: viewer reads, user acts, op and admin maintain. A right on the DAGs of others
opens nothing here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.models.batch_apis import IsAuthorizedDagRequest
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import get_user
from anyio import CapacityLimiter, to_thread
from fastapi.security import HTTPAuthorizationCredentials
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request

from rotina.runs.agenda import load_agenda

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


@dataclass(frozen=True)
class Login:
    """Somebody whom Airflow knows; what they may do was not asked yet."""

    user: BaseUser
    by_cookie: bool

    async def caller(self) -> Caller:
        """With what they may do, as Airflow says now."""
        right = await to_thread.run_sync(_right_of, self.user, limiter=_workers)
        return Caller(self.user.get_name(), right, self.by_cookie)


async def find_login(request: Request) -> Login:
    """Who asks, as Airflow knows them.

    Raises:
        HTTPException: 401, without a login that is Airflow's and not over.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    bearer = None
    if scheme.lower() == "bearer" and token:
        bearer = HTTPAuthorizationCredentials(scheme=scheme, credentials=token)
    try:
        user = await get_user(request, None, bearer)
    except HTTPException as error:
        # Airflow answers 403 to a token that it cannot read: to log in helps there too.
        raise HTTPException(401 if error.status_code == 403 else error.status_code) from error
    return Login(user, by_cookie=bearer is None)


def caller_of(request: HTTPConnection) -> Caller:
    """Who asks, as the gate found out; everything behind the gate has one."""
    caller: Caller = request.state.caller
    return caller


def _right_of(user: BaseUser) -> Right | None:
    manager = get_auth_manager()
    ours = [DagDetails(id=entry.routine) for entry in load_agenda().programs]
    see = [IsAuthorizedDagRequest(method="GET", details=dag) for dag in ours]
    if not manager.batch_is_authorized_dag(see, user=user):
        return None
    start = [
        IsAuthorizedDagRequest(method="POST", access_entity=DagAccessEntity.RUN, details=dag) for dag in ours
    ]
    if not manager.batch_is_authorized_dag(start, user=user):
        return Right.READ
    if not manager.is_authorized_variable(method="PUT", user=user):
        return Right.ACT
    return Right.MAINTAIN
