"""What became of the messages, by the gateway's own ledger."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg


@dataclass(frozen=True)
class Found:
    """The queue as it stands at the end."""

    messages: Mapping[int, tuple[str, str | None]]
    """Status and reason of each message."""
    interrupted: Mapping[int, int]
    """Attempts that were given up because nobody wrote them back, by the run of their dispatcher."""
    maybe_sent: int
    """Attempts to which the gateway gave no clear answer."""
    open_attempts: int
    """Attempts that nobody closed."""


@dataclass(frozen=True)
class Verdict:
    """What is said of a run of chaos."""

    kills: int
    messages: int
    sent: int
    duplicates: int
    """Acceptances of messages that had been accepted before."""
    lost: int
    """Messages that are gone, that are sent but not in the ledger, that are in the ledger but at rest
    otherwise, or that still wait."""
    unknown: int
    problems: tuple[str, ...]
    """Everything that must not be, in words."""

    def __str__(self) -> str:
        return (
            f"kills={self.kills} messages={self.messages} sent={self.sent} duplicates={self.duplicates} "
            f"lost={self.lost} unknown={self.unknown}"
        )


def read_ledger(ledger: Path) -> Counter[int]:
    """How often the gateway accepted each message."""
    with ledger.open(encoding="utf-8") as lines:
        return Counter(json.loads(line)["metadata"]["rotina_message"] for line in lines)


def look(connection: psycopg.Connection) -> Found:
    """Read the queue."""
    messages = connection.execute("select id, status, reason from crm.message").fetchall()
    attempts = connection.execute(
        "select run_id, error = 'the dispatcher was interrupted', count(*) from crm.message_attempt "
        "where outcome = 'maybe_sent' group by 1, 2"
    ).fetchall()
    opened = connection.execute("select count(*) from crm.message_attempt where ended_at is null").fetchone()
    assert opened is not None
    return Found(
        messages={key: (status, reason) for key, status, reason in messages},
        interrupted={run_id: number for run_id, interrupted, number in attempts if interrupted},
        maybe_sent=sum(number for _, interrupted, number in attempts if not interrupted),
        open_attempts=opened[0],
    )


def judge(
    written: Collection[int], accepted: Mapping[int, int], found: Found, killed: Collection[int], share: int
) -> Verdict:
    """The verdict over a run of chaos.

    Messages may become unknown for two reasons only. Those that a killed dispatcher had in flight: never more
    than its share of the in-flight limit, checked kill by kill. And those whose call the gateway did not
    answer clearly (injected faults): never more than there are such attempts. Whatever happened to PostgreSQL
    leaves none, for a dispatcher that lives writes back, or puts back, what it had in hand.

    Args:
        written: ids of the messages whose writing was committed.
        accepted: how often the gateway accepted each message.
        found: the queue at the end.
        killed: runs of the dispatchers that were killed.
        share: how many messages one dispatcher may have in flight.
    """
    status = {key: status for key, (status, _) in found.messages.items()}
    unknown = Counter(reason for state, reason in found.messages.values() if state == "unknown")
    gone = set(written) - set(status)
    unsent = {key for key, state in status.items() if state == "sent" and key not in accepted}
    denied = {key for key in accepted if status.get(key) not in ("sent", "unknown")}
    stuck = {key for key, state in status.items() if state in ("waiting", "held", "sending")}
    twice = {key for key, times in accepted.items() if times > 1}
    problems = [
        f"{what}: {_shown(keys)}"
        for what, keys in (
            ("accepted more than once", twice),
            ("gone", gone),
            ("sent, but not accepted", unsent),
            ("accepted, but neither sent nor unknown", denied),
            ("not at rest", stuck),
        )
        if keys
    ]
    for run_id, number in sorted(found.interrupted.items()):
        most = share if run_id in killed else 0
        if number > most:
            problems.append(f"run {run_id} left {number} messages unknown, at most {most} may be")
    left = sum(found.interrupted.values())
    if unknown["interrupted"] > left or unknown["maybe_sent"] > found.maybe_sent:
        problems.append(f"more unknown messages than attempts that explain them: {dict(unknown)}")
    if strange := set(unknown) - {"interrupted", "maybe_sent"}:
        problems.append(f"unknown for no known reason: {strange}")
    if found.open_attempts:
        problems.append(f"attempts left open: {found.open_attempts}")
    return Verdict(
        kills=len(killed),
        messages=len(found.messages),
        sent=sum(state == "sent" for state in status.values()),
        duplicates=sum(times - 1 for times in accepted.values()),
        lost=len(gone | unsent | denied | stuck),
        unknown=sum(unknown.values()),
        problems=tuple(problems),
    )


def _shown(keys: Collection[int]) -> str:
    return f"{len(keys)} ({', '.join(map(str, sorted(keys)[:10]))}{', …' if len(keys) > 10 else ''})"
