"""The schema `crm`: everything that Rotina owns, as SQLAlchemy models.

The tables are changed by the migrations in rotina/migrations; these models are what the console and the tests
read and write. Set-based work is SQL in include/sql.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Computed,
    Date,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    MetaData,
    Numeric,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SCHEMA = "crm"


class Base(DeclarativeBase):
    """Base of the models; names constraints the same way everywhere."""

    metadata = MetaData(
        schema=SCHEMA,
        naming_convention={
            "pk": "%(table_name)s_pkey",
            "fk": "%(table_name)s_%(column_0_name)s_fkey",
            "uq": "%(table_name)s_%(column_0_N_name)s_key",
            "ix": "%(table_name)s_%(column_0_N_name)s",
            "ck": "%(table_name)s_%(constraint_name)s",
        },
    )
    type_annotation_map = {  # noqa: RUF012
        str: Text,
        int: BigInteger,
        dt.datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[str]: ARRAY(Text),
    }


class Integration(Base):
    """An outside system that Rotina works with, and whether it is in use."""

    __tablename__ = "integration"

    code: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    active: Mapped[bool] = mapped_column(server_default=text("false"))


class AppUser(Base):
    """Who a login of Airflow is: the name and e-mail address that summaries go to."""

    __tablename__ = "app_user"

    login: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str]
    active: Mapped[bool] = mapped_column(server_default=text("true"))


class RoutineRecipient(Base):
    """Who receives the summary of a run that nobody known asked for. Routine `*` stands for all of them."""

    __tablename__ = "routine_recipient"

    routine: Mapped[str] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(primary_key=True)


class Account(Base):
    """A customer or prospect of the CRM (conta)."""

    __tablename__ = "account"
    __table_args__ = (CheckConstraint("kind in ('person', 'company')", name="kind_known"),)

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    kind: Mapped[str]
    name: Mapped[str]
    document: Mapped[str | None]
    email: Mapped[str | None]
    phone: Mapped[str | None]
    birth_on: Mapped[dt.date | None]
    active: Mapped[bool] = mapped_column(server_default=text("true"))
    #: Key of the customer in the ERP; empty for an account that the ERP does not know.
    erp_customer_id: Mapped[int | None] = mapped_column(unique=True)
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


class Audience(Base):
    """A named selection of accounts (público)."""

    __tablename__ = "audience"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


class AudienceAccount(Base):
    """An account that is on the list of an audience."""

    __tablename__ = "audience_account"

    audience_id: Mapped[int] = mapped_column(ForeignKey("audience.id", ondelete="CASCADE"), primary_key=True)
    account_id: Mapped[int] = mapped_column(
        ForeignKey("account.id", ondelete="CASCADE"), primary_key=True, index=True
    )


class AccountSupplementary(Base):
    """What the ERP says about an account's purchases and quotes (dados complementares).

    An account without a row has never bought or asked for a quote. `days_since_last_purchase` depends on the
    day it is asked for: the function crm.account_data(date) derives it. There is no foreign key: checking a
    million of them doubles the first refresh (docs/adr/0004).
    """

    __tablename__ = "account_supplementary"

    account_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    last_purchase_date: Mapped[dt.date | None]
    first_purchase_date: Mapped[dt.date | None]
    last_purchase_value: Mapped[Decimal | None] = mapped_column(Numeric(14, 2))
    first_purchase_value: Mapped[Decimal | None] = mapped_column(Numeric(14, 2))
    accumulated_value: Mapped[Decimal] = mapped_column(Numeric(20, 2))
    last_quote_date: Mapped[dt.date | None]
    purchase_count: Mapped[int]
    last_invoice_code: Mapped[str | None]
    #: Business date that this row was computed for; a run of an older date does not touch it.
    as_of_on: Mapped[dt.date]
    run_id: Mapped[int]


class AccountDataDue(Base):
    """An account that the next refresh must look at, whatever changed in the ERP."""

    __tablename__ = "account_data_due"

    account_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class AccountDataProblem(Base):
    """A record of the ERP that the refresh could not use. Looked at again in every run until it is mended."""

    __tablename__ = "account_data_problem"
    __table_args__ = (CheckConstraint("record_kind in ('account', 'invoice')", name="record_kind_known"),)

    record_kind: Mapped[str] = mapped_column(primary_key=True)
    record_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    #: What is wrong; something else wrong with the same record is reported as a new failure.
    detail: Mapped[str]
    first_run_id: Mapped[int]
    first_seen_on: Mapped[dt.date]


class AccountDataState(Base):
    """How far the refresh of all accounts has come. One row; none before the first refresh."""

    __tablename__ = "account_data_state"
    __table_args__ = (CheckConstraint("singleton", name="one_row"),)

    singleton: Mapped[bool] = mapped_column(primary_key=True, server_default=text("true"))
    refreshed_through_on: Mapped[dt.date]
    invoices_seen_through: Mapped[dt.datetime | None]
    quotes_seen_through: Mapped[dt.datetime | None]
    run_id: Mapped[int]


class Run(Base):
    """One attempt at one run of a routine: what was asked, what came of it, and the equation that closes."""

    __tablename__ = "run"
    __table_args__ = (
        UniqueConstraint("routine", "dag_run_id", "attempt"),
        CheckConstraint("status in ('running', 'succeeded', 'failed', 'skipped')", name="status_known"),
        CheckConstraint("selected = changed + unchanged + skipped + failed", name="equation_closes"),
        CheckConstraint(
            "summary_status in ('pending', 'sending', 'sent', 'failed', 'unknown', 'no_recipient', 'none')",
            name="summary_status_known",
        ),
        Index(None, "routine", "business_date"),
        Index(None, "started_at"),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    routine: Mapped[str]
    program: Mapped[str]
    dag_run_id: Mapped[str]
    attempt: Mapped[int]
    run_type: Mapped[str]
    #: Empty only when the run was refused because its business date is wrong.
    business_date: Mapped[dt.date | None] = mapped_column(Date)
    asked_by: Mapped[str | None]
    params: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    status: Mapped[str] = mapped_column(server_default=text("'running'"))
    selected: Mapped[int] = mapped_column(server_default=text("0"))
    changed: Mapped[int] = mapped_column(server_default=text("0"))
    unchanged: Mapped[int] = mapped_column(server_default=text("0"))
    skipped: Mapped[int] = mapped_column(server_default=text("0"))
    failed: Mapped[int] = mapped_column(server_default=text("0"))
    #: Facts of the routine about this run, shown with it (for example how it selected its records).
    details: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    #: Why the run failed or was skipped.
    message: Mapped[str | None]
    started_at: Mapped[dt.datetime] = mapped_column(server_default=func.clock_timestamp())
    ended_at: Mapped[dt.datetime | None]
    summary_status: Mapped[str] = mapped_column(server_default=text("'pending'"))
    summary_to: Mapped[list[str] | None]
    summary_error: Mapped[str | None]
    seconds: Mapped[float | None] = mapped_column(
        Numeric(12, 3),
        Computed("extract(epoch from ended_at - started_at)", persisted=True),
    )


class RunStep(Base):
    """A step of a run whose work is committed; written in the transaction of the work itself."""

    __tablename__ = "run_step"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"), primary_key=True)
    step: Mapped[str] = mapped_column(primary_key=True)
    done_at: Mapped[dt.datetime] = mapped_column(server_default=func.clock_timestamp())


class RunItem(Base):
    """A record that a run skipped or failed, and why."""

    __tablename__ = "run_item"
    __table_args__ = (CheckConstraint("outcome in ('skipped', 'failed')", name="outcome_known"),)

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"), primary_key=True)
    record_kind: Mapped[str] = mapped_column(primary_key=True)
    record_id: Mapped[str] = mapped_column(primary_key=True)
    outcome: Mapped[str]
    reason: Mapped[str]
    detail: Mapped[str | None]
