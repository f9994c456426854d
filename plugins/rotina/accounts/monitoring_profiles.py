"""Monitoring profiles (parâmetros de monitoramento): which accounts are inactive, and what becomes of them.

Also the teams that get such accounts in turn. docs/inactivity-monitor.md is for those who set them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, fields

import psycopg
from psycopg.rows import class_row, scalar_row

from rotina.accounts.inactivity_digest import LAYOUT, check_layout
from rotina.errors import SettingError
from rotina.messaging.gateways import changes, check_range, check_text, record_audit
from rotina.sql import statement

#: What may count as movement besides a change of the account itself: processes of the CRM
#: (crm.account_activity), quotes and orders of the ERP.
PROCESSES = ("opportunity", "ticket", "task", "campaign_action", "quote", "order")

#: The most days that an account may go without movement.
LONGEST_PERIOD = 3650


@dataclass(frozen=True)
class ProfileSettings:
    """What a person sets of a monitoring profile."""

    name: str
    """Profiles transfer in the order of their names: of those that find an account the first does."""
    period_days: int
    """An account is inactive when nothing moved on the business date and that many days before it."""
    processes: Sequence[str]
    """Of `PROCESSES`, what counts as movement besides a change of the account itself."""
    users: Sequence[str] = ()
    """Logins of those who are notified of all accounts that it finds."""
    audience: str | None = None
    """Name of an audience; None: all accounts."""
    transfer_to_login: str | None = None
    """Who gets the accounts."""
    transfer_to_team: str | None = None
    """Name of the team whose members get them in turn; with both empty nobody does."""
    notify_owners: bool = False
    """Whether the owner of an account, and who gets it, are notified of it."""
    layout: str = LAYOUT
    """Of the digest: include/layouts/<layout>.html.j2 and .txt.j2."""
    active: bool = True


@dataclass(frozen=True, kw_only=True)
class MonitoringProfile(ProfileSettings):
    """A monitoring profile as stored."""

    id: int
    audience_id: int | None

    @property
    def notifies(self) -> bool:
        """Whether it may write e-mails."""
        return self.notify_owners or bool(self.users)


def save_profile(
    connection: psycopg.Connection, profile: ProfileSettings, login: str, *, renamed_from: str | None = None
) -> int:
    """Insert a monitoring profile or change the one of that name; returns its id.

    What it found before stays: no account is found anew because its profile changed. An audit row tells who
    changed what.

    Args:
        connection: of the task role.
        profile: what it is to be.
        login: who decided it.
        renamed_from: the name that the profile had until now; it keeps what it found.

    Raises:
        SettingError: a field is wrong, there is no profile to rename, or its new name is taken.
    """
    check_text("login", login)
    old_name = profile.name if renamed_from is None else renamed_from
    with connection.transaction(), connection.cursor(row_factory=scalar_row) as cursor:
        cursor.execute(statement("monitoring_profiles/lock_profiles"))
        _check_one(profile, _Known.of(connection, [profile]))
        before = find_profile(connection, old_name)
        if old_name != profile.name:
            if before is None:
                raise SettingError("renamed_from", old_name, "there is no profile of that name")
            if find_profile(connection, profile.name):
                raise SettingError("name", profile.name, "another profile has that name")
            cursor.execute(
                statement("monitoring_profiles/rename_profile"), {"old_name": old_name, "name": profile.name}
            )
        values = {**asdict(profile), "processes": list(profile.processes), "login": login}
        (profile_id,) = cursor.execute(statement("monitoring_profiles/save_profile"), values).fetchall()
        cursor.execute(
            statement("monitoring_profiles/save_users"),
            {"profile_id": profile_id, "users": list(profile.users)},
        )
        details = changes(_shown(before) if before else None, _shown(profile))
        record_audit(connection, login, "save_profile", {"monitoring_profile": profile.name}, details)
    return int(profile_id)


def delete_profile(connection: psycopg.Connection, name: str, login: str) -> None:
    """Delete a monitoring profile that has found nothing yet. An audit row keeps what it was.

    Raises:
        SettingError: there is no profile of that name, or it has found accounts: they are its history, and
            the same profile made anew would find, notify and transfer them once more.
    """
    check_text("login", login)
    with connection.transaction(), connection.cursor(row_factory=scalar_row) as cursor:
        cursor.execute(statement("monitoring_profiles/lock_profiles"))
        profile = find_profile(connection, name)
        if profile is None:
            raise SettingError("profile", name, "there is no profile of that name")
        values = {"profile_id": profile.id}
        if cursor.execute(statement("monitoring_profiles/is_used"), values).fetchone():
            raise SettingError("profile", name, "has found accounts; set it inactive instead")
        cursor.execute(statement("monitoring_profiles/delete_profile"), values)
        deleted = {"deleted": _shown(profile)}
        record_audit(connection, login, "delete_profile", {"monitoring_profile": name}, deleted)


def save_team(connection: psycopg.Connection, name: str, members: Collection[str], login: str) -> None:
    """Insert a team, or give the one of that name these members and no others.

    Args:
        connection: of the task role.
        name: of the team.
        members: their logins.
        login: who decided it.

    Raises:
        SettingError: the name is blank, a member is no known user, or nobody of them is active.
    """
    for field, value in (("name", name), ("login", login)):
        check_text(field, value)
    wanted = sorted(set(members))
    with connection.transaction(), connection.cursor(row_factory=scalar_row) as cursor:
        cursor.execute(statement("monitoring_profiles/lock_profiles"))
        users = _Known.named(connection, logins=wanted).users
        for member in wanted:
            if member not in users:
                raise SettingError("members", member, "there is no user of that login")
        if not any(users.values()):
            raise SettingError("members", ", ".join(wanted), "a team needs a member who is active")
        before = cursor.execute(statement("monitoring_profiles/get_team"), {"name": name}).fetchone()
        cursor.execute(statement("monitoring_profiles/save_team"), {"name": name, "members": wanted})
        details = changes(None if before is None else {"members": before}, {"members": wanted})
        record_audit(connection, login, "save_team", {"team": name}, details)


def find_profile(connection: psycopg.Connection, name: str) -> MonitoringProfile | None:
    """The monitoring profile of a name, active or not; None when there is none."""
    return next(iter(_load(connection, name)), None)


def load_profiles(connection: psycopg.Connection, name: str | None) -> list[MonitoringProfile]:
    """The monitoring profiles that a run works with, checked: the one of a name, or all active ones.

    Raises:
        SettingError: there is no such profile, it is not active, or one of them cannot be worked with.
    """
    profiles = _load(connection, name)
    if name is not None and not profiles:
        raise SettingError("profile", name, "there is no profile of that name")
    if name is not None and not profiles[0].active:
        raise SettingError("profile", name, "is not active")
    known = _Known.of(connection, profiles)
    for profile in profiles:
        try:
            _check_one(profile, known)
        except SettingError as error:
            field = f"monitoring profile {profile.name!r}, {error.field}"
            raise SettingError(field, error.value, error.problem) from None
    return profiles


@dataclass(frozen=True)
class _Known:
    """What profiles name and the database has: each name, and whether it can be worked with."""

    users: dict[str, bool]
    teams: dict[str, bool]
    audiences: dict[str, bool]

    @classmethod
    def of(cls, connection: psycopg.Connection, profiles: Sequence[ProfileSettings]) -> _Known:
        """What there is of all that these profiles name."""
        logins = {profile.transfer_to_login for profile in profiles}.union(
            *(profile.users for profile in profiles)
        )
        return cls.named(
            connection,
            logins=logins,
            teams={profile.transfer_to_team for profile in profiles},
            audiences={profile.audience for profile in profiles},
        )

    @classmethod
    def named(
        cls,
        connection: psycopg.Connection,
        *,
        logins: Collection[str | None] = (),
        teams: Collection[str | None] = (),
        audiences: Collection[str | None] = (),
    ) -> _Known:
        """What there is of these names."""
        values = {"logins": list(logins), "teams": list(teams), "audiences": list(audiences)}
        rows = connection.execute(statement("monitoring_profiles/list_known"), values).fetchall()
        found: dict[str, dict[str, bool]] = {"user": {}, "team": {}, "audience": {}}
        for kind, name, usable in rows:
            found[kind][name] = usable
        return cls(found["user"], found["team"], found["audience"])


def _check_one(profile: ProfileSettings, known: _Known) -> None:
    """Raises SettingError for the first field of a profile that is wrong.

    Of one that is not active it does not matter whether somebody left: it must be possible to switch it off.
    """
    check_text("name", profile.name)
    if not profile.name.isprintable():
        raise SettingError("name", profile.name, "must be one line, without control characters")
    check_range("period_days", profile.period_days, 1, LONGEST_PERIOD)
    if not profile.processes:
        raise SettingError("processes", "none", f"name what counts as movement: {', '.join(PROCESSES)}")
    for process in profile.processes:
        if process not in PROCESSES:
            raise SettingError("processes", process, f"must be of {', '.join(PROCESSES)}")
    if len(set(profile.processes)) < len(profile.processes):
        raise SettingError("processes", ", ".join(profile.processes), "one of them is given twice")
    if profile.audience is not None and profile.audience not in known.audiences:
        raise SettingError("audience", profile.audience, "there is no audience of that name")
    for user in profile.users:
        if user not in known.users:
            raise SettingError("users", user, "there is no user of that login")
    _check_transfer(profile, known)
    if not (profile.users or profile.notify_owners or profile.transfer_to_login or profile.transfer_to_team):
        raise SettingError(
            "users", "none", "a profile that notifies nobody and transfers nothing does nothing"
        )
    check_layout(profile.layout)


def _check_transfer(profile: ProfileSettings, known: _Known) -> None:
    login, team = profile.transfer_to_login, profile.transfer_to_team
    if login is not None and team is not None:
        raise SettingError("transfer_to_team", team, "give transfer_to_login or transfer_to_team, not both")
    if login is not None:
        if login not in known.users:
            raise SettingError("transfer_to_login", login, "there is no user of that login")
        if profile.active and not known.users[login]:
            raise SettingError("transfer_to_login", login, "has left: the user is not active")
    if team is not None:
        if team not in known.teams:
            raise SettingError("transfer_to_team", team, "there is no team of that name")
        if profile.active and not known.teams[team]:
            raise SettingError("transfer_to_team", team, "has no active member")


def _load(connection: psycopg.Connection, name: str | None) -> list[MonitoringProfile]:
    with connection.cursor(row_factory=class_row(MonitoringProfile)) as cursor:
        return cursor.execute(statement("monitoring_profiles/list_profiles"), {"name": name}).fetchall()


def _shown(profile: ProfileSettings) -> dict[str, object]:
    """What an audit row tells of a profile."""
    values = {field.name: getattr(profile, field.name) for field in fields(ProfileSettings)}
    return {**values, "users": sorted(profile.users), "processes": list(profile.processes)}
