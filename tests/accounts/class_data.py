"""Classes, accounts and their supplementary data, written straight into the tables."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import psycopg

from rotina.accounts.class_rules import RuleSettings, save_class, save_rule

CLASSES = ("Bronze", "Prata", "Ouro")


def value(op: str, amount: Any) -> dict[str, Any]:
    """A condition over the accumulated value."""
    return {"field": "accumulated_value", "op": op, "value": amount}


def rule(name: str, source: str | None, target: str, conditions: Any, priority: int = 10, **more: Any) -> Any:
    """What a person sets of a rule."""
    return RuleSettings(
        name=name, source=source, target=target, conditions=conditions, priority=priority, **more
    )


class Accounts:
    """Accounts whose data are refreshed through a date."""

    def __init__(self, owner: psycopg.Connection, connection: psycopg.Connection, refreshed: dt.date) -> None:
        self.owner = owner
        self.connection = connection
        for name in CLASSES:
            save_class(connection, name, "ana")
        self.refresh_through(refreshed)

    def save(self, *rules: Any) -> None:
        for one in rules:
            save_rule(self.connection, one, "ana")

    def refresh_through(self, date: dt.date) -> None:
        """Say that the data are refreshed through a date."""
        self.owner.execute(
            "insert into crm.account_data_state (refreshed_through_on, run_id) values (%s, 0) "
            "on conflict (singleton) do update set refreshed_through_on = excluded.refreshed_through_on",
            [date],
        )

    def add(
        self,
        class_name: str | None = None,
        accumulated: str | None = None,
        *,
        last_on: dt.date | None = None,
        count: int = 1,
        active: bool = True,
    ) -> int:
        """An account; without an accumulated value it has no supplementary data. Returns its key."""
        row = self.owner.execute(
            "insert into crm.account (kind, name, email, active, class_id) "
            "values ('person', 'Ana', 'ana@example.com', %s, "
            "(select id from crm.account_class where name = %s)) returning id",
            [active, class_name],
        ).fetchone()
        assert row is not None
        if accumulated is not None:
            self.set(row[0], accumulated, last_on=last_on, count=count)
        return int(row[0])

    def set(self, account: int, accumulated: str, *, last_on: dt.date | None = None, count: int = 1) -> None:
        """Set supplementary data of an account."""
        self.owner.execute(
            "insert into crm.account_supplementary (account_id, accumulated_value, purchase_count, "
            "last_purchase_date, as_of_on, run_id) values (%s, %s, %s, %s, '2026-01-01', 0) "
            "on conflict (account_id) do update set accumulated_value = excluded.accumulated_value, "
            "purchase_count = excluded.purchase_count, last_purchase_date = excluded.last_purchase_date",
            [account, accumulated, count, last_on],
        )

    def add_list(self, name: str, accounts: Sequence[int]) -> None:
        """An audience that is a list."""
        self.owner.execute("insert into crm.audience (name) values (%s)", [name])
        self.owner.execute(
            "insert into crm.audience_account (audience_id, account_id) "
            "select a.id, m.id from crm.audience a, unnest(%s::bigint[]) as m (id) where a.name = %s",
            [list(accounts), name],
        )

    def add_filter(self, name: str, document: str) -> None:
        """An audience that is a filter, given as JSON."""
        self.owner.execute("insert into crm.audience (name, filter) values (%s, %s)", [name, document])

    def classes(self) -> dict[int, str | None]:
        """The class of each account."""
        return dict(
            self.owner.execute(
                "select a.id, c.name from crm.account a left join crm.account_class c on c.id = a.class_id "
                "order by a.id"
            ).fetchall()
        )

    def history(self) -> list[tuple[Any, ...]]:
        """What happened: account, date, from, to, rule, values."""
        return self.owner.execute(
            "select h.account_id, h.changed_on, f.name, t.name, h.rule_name, h.rule_values "
            "from crm.account_class_change h join crm.account_class t on t.id = h.to_class_id "
            "left join crm.account_class f on f.id = h.from_class_id order by h.id"
        ).fetchall()
