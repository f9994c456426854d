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
    Time,
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
    #: What only this integration has: `months_inactive` of erp.
    settings: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))


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
    __table_args__ = (
        CheckConstraint("kind in ('person', 'company')", name="kind_known"),
        CheckConstraint("status in ('active', 'inactive', 'not_integrated')", name="status_known"),
        # With the id, so that the accounts of ten thousand customers are found without a look at their rows.
        UniqueConstraint("erp_customer_id", postgresql_include=["id"]),
        # Month and day as one number (229 is 29 February), as include/sql/birthday_emails asks for them.
        Index(
            "account_birthday",
            text("((EXTRACT(month FROM birth_on) * 100 + EXTRACT(day FROM birth_on))::integer)"),
            postgresql_where=text("kind = 'person' and active"),
        ),
        # What people type of an account, as include/sql/account_search asks for it: a name or an e-mail
        # address from its beginning, a document without its punctuation, a phone number from its end. All
        # have the collation "C" (migrations 0014, 0015), in which LIKE and ORDER BY read an index both.
        Index("account_search_name", text("crm.unaccented(name)")),
        Index(
            "account_search_document",
            text("upper(regexp_replace(document, '[^0-9A-Za-z]'::text, ''::text, 'g'::text))"),
        ),
        Index("account_search_email", text("lower(email)")),
        Index(
            "account_search_phone",
            text("reverse(regexp_replace(phone, '[^0-9]'::text, ''::text, 'g'::text))"),
        ),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    kind: Mapped[str]
    name: Mapped[str]
    document: Mapped[str | None]
    email: Mapped[str | None]
    phone: Mapped[str | None]
    birth_on: Mapped[dt.date | None]
    active: Mapped[bool] = mapped_column(server_default=text("true"))
    #: Key of the customer in the ERP; empty for an account that the ERP does not know.
    erp_customer_id: Mapped[int | None]
    #: Whether its source of customers knows it and it moves there; account_status_update sets it.
    status: Mapped[str] = mapped_column(server_default=text("'not_integrated'"))
    class_id: Mapped[int | None] = mapped_column(ForeignKey("account_class.id"))
    #: Login of the account's owner (responsável), who may have left.
    owner_login: Mapped[str | None]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    #: When people last changed it. Routines that set status, class or owner leave it as it is.
    updated_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


class Audience(Base):
    """A named selection of accounts (público): a list, or a filter."""

    __tablename__ = "audience"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    #: See rotina.accounts.filters; empty: the accounts of crm.audience_account.
    filter: Mapped[dict[str, Any] | None]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    updated_by: Mapped[str | None]


class AudienceAccount(Base):
    """An account that is on the list of an audience without a filter."""

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
    #: Key of no invoice was greater than this one: one that is greater has not been counted yet.
    greatest_invoice_id: Mapped[int | None]
    run_id: Mapped[int]


class AccountDataRecentInvoice(Base):
    """An invoice of the ERP's last hour as the refresh of all accounts saw it: as long as it stands so, the
    next refresh, which looks at that hour again, leaves its account alone."""

    __tablename__ = "account_data_recent_invoice"

    invoice_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    customer_id: Mapped[int | None]
    code: Mapped[str | None]
    issued_on: Mapped[dt.date | None]
    value: Mapped[Decimal | None]
    cancelled_at: Mapped[dt.datetime | None]


class AccountDataRecentQuote(Base):
    """A quote of the ERP's last hour, likewise."""

    __tablename__ = "account_data_recent_quote"

    quote_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    customer_id: Mapped[int | None]
    quoted_on: Mapped[dt.date | None]


class RoutineProgress(Base):
    """The newest business date that a routine has done for all accounts; it leaves older ones alone."""

    __tablename__ = "routine_progress"

    routine: Mapped[str] = mapped_column(primary_key=True)
    #: What the routine does one by one, as a monitoring profile; empty when it is one thing.
    scope: Mapped[str] = mapped_column(primary_key=True, server_default=text("''"))
    done_through_on: Mapped[dt.date]
    run_id: Mapped[int]


class AccountStatusChange(Base):
    """A change of an account's status, and why."""

    __tablename__ = "account_status_change"
    __table_args__ = (
        CheckConstraint("to_status in ('active', 'inactive', 'not_integrated')", name="to_status_known"),
        Index(None, "account_id", "changed_on"),
        Index(None, "run_id"),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
    #: Business date of the run.
    changed_on: Mapped[dt.date]
    from_status: Mapped[str]
    to_status: Mapped[str]
    #: Code of the integration that it comes from.
    source: Mapped[str]
    #: movement, no_movement, never_moved; adhesion_in_force, adhesion_ended, no_adhesion; not_linked,
    #: customer_missing.
    reason: Mapped[str]
    #: The last movement up to the business date, or the last day of the newest adhesion.
    reason_on: Mapped[dt.date | None]
    run_id: Mapped[int]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


class AccountClass(Base):
    """A class that accounts are in (classe). One that is not active is no target of rules."""

    __tablename__ = "account_class"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    active: Mapped[bool] = mapped_column(server_default=text("true"))


class ClassRule(Base):
    """When accounts move to another class (regra de transição). See rotina.accounts.class_rules."""

    __tablename__ = "class_rule"
    __table_args__ = (
        CheckConstraint("source_class_id <> target_class_id", name="target_is_another"),
        CheckConstraint("priority between 1 and 999", name="priority_in_range"),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    active: Mapped[bool] = mapped_column(server_default=text("true"))
    #: Empty: accounts of any class, or of none.
    source_class_id: Mapped[int | None] = mapped_column(ForeignKey("account_class.id"))
    target_class_id: Mapped[int] = mapped_column(ForeignKey("account_class.id"))
    #: The rule with the lowest priority that matches is applied; of equal ones that with the lowest id.
    priority: Mapped[int]
    #: See rotina.accounts.filters.
    conditions: Mapped[dict[str, Any]]
    audience_id: Mapped[int | None] = mapped_column(ForeignKey("audience.id"))
    updated_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    updated_by: Mapped[str]


class AccountClassChange(Base):
    """A transition of an account: by which rule, and with which values."""

    __tablename__ = "account_class_change"
    __table_args__ = (Index(None, "account_id", "changed_on"),)

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
    #: Business date of the run.
    changed_on: Mapped[dt.date]
    from_class_id: Mapped[int | None] = mapped_column(ForeignKey("account_class.id"))
    to_class_id: Mapped[int] = mapped_column(ForeignKey("account_class.id"))
    rule_id: Mapped[int]
    rule_name: Mapped[str]
    #: The fields that the rule asks for, as they were.
    rule_values: Mapped[dict[str, Any]]
    run_id: Mapped[int]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


class AccountActivity(Base):
    """Something that happened to an account in a process of the CRM: what counts as movement."""

    __tablename__ = "account_activity"
    __table_args__ = (
        CheckConstraint(
            "process in ('opportunity', 'ticket', 'task', 'campaign_action')", name="process_known"
        ),
        Index(None, "account_id", "occurred_at"),
        Index(None, "occurred_at", postgresql_using="brin"),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    account_id: Mapped[int]
    process: Mapped[str]
    occurred_at: Mapped[dt.datetime]


class Team(Base):
    """Users who get accounts in turn."""

    __tablename__ = "team"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)


class TeamMember(Base):
    """A user of a team."""

    __tablename__ = "team_member"

    team_id: Mapped[int] = mapped_column(ForeignKey("team.id", ondelete="CASCADE"), primary_key=True)
    login: Mapped[str] = mapped_column(
        ForeignKey("app_user.login", onupdate="CASCADE", ondelete="CASCADE"), primary_key=True
    )


class MonitoringProfile(Base):
    """How accounts without movement are looked for, and what becomes of them (parâmetro de monitoramento).

    See rotina.accounts.monitoring_profiles.
    """

    __tablename__ = "monitoring_profile"
    __table_args__ = (
        CheckConstraint("period_days between 1 and 3650", name="period_in_range"),
        CheckConstraint("cardinality(processes) > 0", name="processes_given"),
        CheckConstraint("num_nonnulls(transfer_to_login, transfer_to_team_id) <= 1", name="one_transfer"),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    active: Mapped[bool] = mapped_column(server_default=text("true"))
    period_days: Mapped[int]
    #: What counts as movement besides a change of the account itself: opportunity, ticket, task,
    #: campaign_action, quote, order.
    processes: Mapped[list[str]]
    #: Empty: all accounts.
    audience_id: Mapped[int | None] = mapped_column(ForeignKey("audience.id"))
    #: Who gets the accounts; both empty: nobody.
    transfer_to_login: Mapped[str | None] = mapped_column(ForeignKey("app_user.login", onupdate="CASCADE"))
    transfer_to_team_id: Mapped[int | None] = mapped_column(ForeignKey("team.id"))
    #: Whether the owner of an account, and who gets it, are notified besides the users of the profile.
    notify_owners: Mapped[bool] = mapped_column(server_default=text("false"))
    #: Name of the layout of the digest: include/layouts/<layout>.{html,txt}.j2.
    layout: Mapped[str] = mapped_column(server_default=text("'inactivity_digest'"))
    updated_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    updated_by: Mapped[str]


class MonitoringProfileUser(Base):
    """A user who is notified of all accounts that a profile finds."""

    __tablename__ = "monitoring_profile_user"

    profile_id: Mapped[int] = mapped_column(
        ForeignKey("monitoring_profile.id", ondelete="CASCADE"), primary_key=True
    )
    login: Mapped[str] = mapped_column(
        ForeignKey("app_user.login", onupdate="CASCADE", ondelete="CASCADE"), primary_key=True
    )


class InactiveAccount(Base):
    """An account that a profile found without movement; once for as long as it does not move."""

    __tablename__ = "inactive_account"
    __table_args__ = (
        # With the date, so that what was found before is known without a look at the rows.
        UniqueConstraint("account_id", "profile_id", "last_movement_at", postgresql_include=["found_on"]),
        Index(None, "run_id"),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    profile_id: Mapped[int] = mapped_column(ForeignKey("monitoring_profile.id"))
    #: Without a foreign key: see docs/adr/0004-no-foreign-key-on-account-data.md.
    account_id: Mapped[int]
    #: Business date of the run.
    found_on: Mapped[dt.date]
    #: Local midnight of a movement that has a date only.
    last_movement_at: Mapped[dt.datetime]
    #: What moved last: one of the processes of the profile, or account.
    last_process: Mapped[str]
    #: The account's owner before the run and after it, whichever profile gave it to another.
    owner_before: Mapped[str | None]
    owner_after: Mapped[str | None]
    #: Whether this profile gave it to another owner: one of those that find an account in a run does.
    transferred: Mapped[bool]
    #: Logins that it was in the digest of.
    notified: Mapped[list[str]]
    run_id: Mapped[int]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


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


# -- messaging: the outbox --------------------------------------------------------------------------------


class Gateway(Base):
    """A way to send messages, with its limits and how it fares. See rotina.messaging.gateways."""

    __tablename__ = "gateway"
    __table_args__ = (
        CheckConstraint("code ~ '^[a-z][a-z0-9_]*$'", name="code_is_a_name"),
        CheckConstraint("kind in ('opa_suite', 'smtp', 'http_json')", name="kind_known"),
        CheckConstraint("max_in_flight between 1 and 10000", name="max_in_flight_in_range"),
        CheckConstraint("dispatchers between 1 and 64", name="dispatchers_in_range"),
        CheckConstraint("dispatchers <= max_in_flight", name="dispatchers_within_max_in_flight"),
        CheckConstraint("rate > 0 and rate < 'infinity'", name="rate_above_zero"),
        CheckConstraint("burst >= 1", name="burst_above_zero"),
        CheckConstraint("daily_quota > 0", name="daily_quota_above_zero"),
        CheckConstraint("max_attempts between 1 and 100", name="max_attempts_in_range"),
        CheckConstraint("backoff_seconds between 1 and backoff_most_seconds", name="backoff_in_order"),
        CheckConstraint("hold_seconds >= 1", name="hold_seconds_above_zero"),
        CheckConstraint("call_timeout_seconds between 1 and 600", name="call_timeout_in_range"),
        CheckConstraint("payload_limit between 1 and 10485760", name="payload_limit_in_range"),
        CheckConstraint("(paused_at is null) = (pause_reason is null)", name="pause_has_a_reason"),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    kind: Mapped[str]
    #: Airflow connection with the address and the secret.
    connection_id: Mapped[str]
    #: What only this kind of gateway has (for example the channel of opa_suite).
    settings: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    active: Mapped[bool] = mapped_column(server_default=text("true"))
    #: Time zone of the send windows and of the day of the quota.
    timezone: Mapped[str] = mapped_column(server_default=text("'America/Sao_Paulo'"))

    #: Messages claimed and not yet written back, all dispatchers together; as many become unknown in a crash.
    max_in_flight: Mapped[int] = mapped_column(server_default=text("64"))
    #: How many dispatchers may work at once; each has an equal share of max_in_flight.
    dispatchers: Mapped[int] = mapped_column(server_default=text("1"))
    #: Messages per second, all dispatchers together; empty: as fast as it goes.
    rate: Mapped[float | None]
    #: How many may go at once after a pause in sending; empty: one second's worth.
    burst: Mapped[int | None]
    #: Messages per day of its time zone; empty: no limit but what the gateway itself tells.
    daily_quota: Mapped[int | None]

    max_attempts: Mapped[int] = mapped_column(server_default=text("5"))
    backoff_seconds: Mapped[int] = mapped_column(server_default=text("30"))
    backoff_most_seconds: Mapped[int] = mapped_column(server_default=text("3600"))
    #: How long a message is held whose recipient is in attendance.
    hold_seconds: Mapped[int] = mapped_column(server_default=text("900"))
    call_timeout_seconds: Mapped[int] = mapped_column(server_default=text("30"))
    #: Bytes of a payload as JSON.
    payload_limit: Mapped[int] = mapped_column(server_default=text("65536"))

    paused_at: Mapped[dt.datetime | None]
    paused_by: Mapped[str | None]
    pause_reason: Mapped[str | None]
    #: Not before this instant is anything sent: the gateway asked for it, or could not be reached.
    slowed_until: Mapped[dt.datetime | None]
    slow_reason: Mapped[str | None]
    #: Times in a row that the gateway was slow or away; while above zero, one message at a time tries it.
    failures: Mapped[int] = mapped_column(server_default=text("0"))
    #: Grows when somebody moves messages ahead, so that dispatchers look at the front of the queue again.
    order_version: Mapped[int] = mapped_column(server_default=text("0"))


class SendWindow(Base):
    """Hours in which a gateway may send, in its time zone. A day without a row is closed."""

    __tablename__ = "send_window"
    __table_args__ = (
        CheckConstraint(
            "day in ('monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday', "
            "'holiday')",
            name="day_known",
        ),
        CheckConstraint("opens_at < closes_at", name="opens_before_it_closes"),
    )

    gateway_id: Mapped[int] = mapped_column(ForeignKey("gateway.id", ondelete="CASCADE"), primary_key=True)
    #: `holiday` takes the place of the weekday on a Brazilian national holiday.
    day: Mapped[str] = mapped_column(primary_key=True)
    opens_at: Mapped[dt.time] = mapped_column(primary_key=True)
    #: 24:00 is the end of the day.
    closes_at: Mapped[dt.time]


class GatewayUsage(Base):
    """The token bucket and the quota of a gateway, shared by its dispatchers."""

    __tablename__ = "gateway_usage"

    gateway_id: Mapped[int] = mapped_column(ForeignKey("gateway.id", ondelete="CASCADE"), primary_key=True)
    tokens: Mapped[float] = mapped_column(server_default=text("0"))
    filled_at: Mapped[dt.datetime] = mapped_column(server_default=func.clock_timestamp())
    #: Day of the gateway's time zone that `used` counts.
    used_on: Mapped[dt.date | None]
    used: Mapped[int] = mapped_column(server_default=text("0"))
    #: What the gateway itself says may still be sent today, less what was claimed since it was asked.
    available: Mapped[int | None]
    available_on: Mapped[dt.date | None]


class MessageTemplate(Base):
    """A message template that a gateway approved, and which of our variables fill its places."""

    __tablename__ = "message_template"
    __table_args__ = (
        UniqueConstraint("gateway_id", "code"),
        CheckConstraint("code ~ '^[a-z][a-z0-9_]*$'", name="code_is_a_name"),
        CheckConstraint("status in ('approved', 'pending', 'rejected', 'paused')", name="status_known"),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    gateway_id: Mapped[int] = mapped_column(ForeignKey("gateway.id"))
    code: Mapped[str]
    name: Mapped[str]
    #: Key of the template in the gateway.
    gateway_template_id: Mapped[str]
    #: The gateway's text; {{1}}, {{2}} … are filled by position.
    body: Mapped[str]
    #: Names of our variables, by position.
    variables: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    status: Mapped[str] = mapped_column(server_default=text("'pending'"))
    active: Mapped[bool] = mapped_column(server_default=text("true"))


class DunningStep(Base):
    """A step of the dunning schedule (régua de cobrança): what is sent how many days after the due date."""

    __tablename__ = "dunning_step"
    __table_args__ = (
        UniqueConstraint("days", "template_id"),
        CheckConstraint("days between -365 and 3650", name="days_in_range"),
        CheckConstraint("priority between 1 and 9", name="priority_in_range"),
        CheckConstraint("valid_days between 0 and 365", name="valid_days_in_range"),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    #: Below zero: before the due date; zero: on it; above: after it.
    days: Mapped[int]
    template_id: Mapped[int] = mapped_column(ForeignKey("message_template.id"))
    priority: Mapped[int] = mapped_column(server_default=text("5"))
    #: A day that is no business day moves to the next one.
    next_business_day: Mapped[bool] = mapped_column(server_default=text("true"))
    #: Days after its own on which the message may still go out.
    valid_days: Mapped[int] = mapped_column(server_default=text("0"))
    active: Mapped[bool] = mapped_column(server_default=text("true"))


class DunningException(Base):
    """A customer of the ERP who gets no billing messages."""

    __tablename__ = "dunning_exception"

    customer_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    reason: Mapped[str]
    #: Last day of the exception; empty: for good.
    until_on: Mapped[dt.date | None]


class Suppression(Base):
    """An address that gets no messages: its owner opted out, or it does not exist."""

    __tablename__ = "suppression"
    __table_args__ = (CheckConstraint("channel in ('phone', 'email')", name="channel_known"),)

    channel: Mapped[str] = mapped_column(primary_key=True)
    #: As messages carry it: E.164, or the e-mail address in lower case, its domain in A-labels.
    address: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str]
    source: Mapped[str]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


class MessageKey(Base):
    """The business key of every message ever written; it outlives the message: none is written twice."""

    __tablename__ = "message_key"
    __table_args__ = (
        # The newest keys, as include/sql/delivery_monitor asks for them; they are written in that order.
        Index(None, "message_id", postgresql_using="brin", postgresql_with={"autosummarize": "on"}),
    )

    dedupe_key: Mapped[str] = mapped_column(primary_key=True)
    message_id: Mapped[int]


class _MessageColumns:
    """The columns of a message, in the queue and in the archive."""

    gateway_id: Mapped[int]
    #: Empty for an e-mail, whose text is in the payload.
    template_id: Mapped[int | None]
    dedupe_key: Mapped[str]
    #: The routine that wrote it, and the key of what it is about there.
    origin: Mapped[str]
    origin_key: Mapped[str]
    account_id: Mapped[int | None]
    customer_id: Mapped[int | None]
    #: Receivable of the ERP that it asks to pay; once paid, the message is cancelled instead of sent.
    receivable_id: Mapped[int | None]
    #: The due date that it speaks of.
    due_on: Mapped[dt.date | None]
    #: E.164 phone number, or e-mail address.
    recipient: Mapped[str]
    recipient_name: Mapped[str | None]
    #: What is sent, frozen when written.
    payload: Mapped[dict[str, Any]]
    #: 1 goes first.
    priority: Mapped[int] = mapped_column(server_default=text("5"))
    #: Below zero: moved ahead within its priority; above: moved back.
    position: Mapped[int] = mapped_column(server_default=text("0"))
    status: Mapped[str] = mapped_column(server_default=text("'waiting'"))
    #: Whether send_after has come, as far as dispatchers noticed.
    ready: Mapped[bool] = mapped_column(server_default=text("true"))
    send_after: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[dt.datetime | None]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    #: Run that wrote it.
    run_id: Mapped[int | None]
    #: Attempts made, and those that count against the gateway's max_attempts.
    tries: Mapped[int] = mapped_column(server_default=text("0"))
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    #: Who may write an attempt's outcome: a claim gives a new token.
    lease_token: Mapped[int | None]
    lease_until: Mapped[dt.datetime | None]
    #: Why it is where it is: a class of outcome, or what an operator did.
    reason: Mapped[str | None]
    error: Mapped[str | None]
    gateway_message_id: Mapped[str | None]
    sent_at: Mapped[dt.datetime | None]
    #: When it came to rest: sent, failed, cancelled or expired.
    ended_at: Mapped[dt.datetime | None]
    #: The furthest that the gateway has told: sent, delivered, read or failed.
    delivery_status: Mapped[str | None]
    delivered_at: Mapped[dt.datetime | None]
    read_at: Mapped[dt.datetime | None]
    delivery_error: Mapped[str | None]
    #: When the gateway is asked next how far it got; empty: no more.
    poll_after: Mapped[dt.datetime | None]


class Message(_MessageColumns, Base):
    """A message of the queue: written once by its producer, sent by queue_dispatch."""

    __tablename__ = "message"
    __table_args__ = (
        CheckConstraint(
            "status in ('waiting', 'sending', 'sent', 'failed', 'unknown', 'held', 'cancelled', 'expired')",
            name="status_known",
        ),
        CheckConstraint("priority between 1 and 9", name="priority_in_range"),
        CheckConstraint(
            "delivery_status in ('sent', 'delivered', 'read', 'failed')", name="delivery_status_known"
        ),
        # What a claim reads, in the order of sending.
        Index(
            "message_ready",
            "gateway_id",
            "priority",
            "position",
            "id",
            postgresql_where=text("status = 'waiting' and ready"),
        ),
        Index(
            "message_later",
            "gateway_id",
            "send_after",
            postgresql_where=text("status in ('waiting', 'held') and not ready"),
        ),
        Index(
            "message_expiry",
            "expires_at",
            postgresql_where=text("status in ('waiting', 'held') and expires_at is not null"),
        ),
        Index("message_lease", "lease_until", postgresql_where=text("status = 'sending'")),
        Index("message_unknown", "gateway_id", "id", postgresql_where=text("status = 'unknown'")),
        Index("message_failed", "gateway_id", "id", postgresql_where=text("status = 'failed'")),
        # What came to rest, newest first, for people who look.
        Index(
            "message_at_rest",
            "gateway_id",
            "status",
            "id",
            postgresql_where=text("status in ('sent', 'failed', 'unknown', 'cancelled', 'expired')"),
        ),
        Index(None, "recipient"),
        Index("message_poll", "gateway_id", "poll_after", postgresql_where=text("poll_after is not null")),
        Index(
            "message_gateway_message",
            "gateway_id",
            "gateway_message_id",
            postgresql_where=text("gateway_message_id is not null"),
        ),
        Index("message_account", "account_id", postgresql_where=text("account_id is not null")),
        Index("message_customer", "customer_id", postgresql_where=text("customer_id is not null")),
        # The addresses that were greeted for a day, as include/sql/birthday_emails asks for them.
        Index("message_birthday_run", "run_id", postgresql_where=text("origin = 'birthday_emails'")),
        Index("message_created", "created_at", postgresql_using="brin"),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)


class _MessageAttemptColumns:
    """The columns of an attempt, in the queue and in the archive."""

    run_id: Mapped[int | None]
    token: Mapped[int]
    started_at: Mapped[dt.datetime] = mapped_column(server_default=func.clock_timestamp())
    #: Empty while the call is under way, and for good when its dispatcher was killed.
    ended_at: Mapped[dt.datetime | None]
    #: Class of outcome (rotina.messaging.outcome).
    outcome: Mapped[str | None]
    #: What the gateway answered: the HTTP or SMTP status, and its text.
    code: Mapped[int | None]
    error: Mapped[str | None]


class MessageAttempt(_MessageAttemptColumns, Base):
    """One call of a gateway for one message: committed before the call, closed after it."""

    __tablename__ = "message_attempt"
    __table_args__ = (Index(None, "run_id"),)

    message_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class MessageArchive(_MessageColumns, Base):
    """Messages that came to rest months ago, one partition per month of their creation."""

    __tablename__ = "message_archive"
    __table_args__ = (
        Index(None, "account_id"),
        Index(None, "customer_id"),
        Index(None, "recipient"),
        {"postgresql_partition_by": "RANGE (created_at)"},
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    created_at: Mapped[dt.datetime] = mapped_column(primary_key=True)
    archived_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


class MessageAttemptArchive(_MessageAttemptColumns, Base):
    """The attempts of archived messages, in the same months."""

    __tablename__ = "message_attempt_archive"
    __table_args__ = ({"postgresql_partition_by": "RANGE (message_created_at)"},)

    message_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    message_created_at: Mapped[dt.datetime] = mapped_column(primary_key=True)


class DeliveryEvent(Base):
    """What a gateway told about a message after it took it, by webhook or when asked; first of its kind."""

    __tablename__ = "delivery_event"
    __table_args__ = (
        UniqueConstraint("gateway_id", "gateway_message_id", "status"),
        CheckConstraint("status in ('sent', 'delivered', 'read', 'failed')", name="status_known"),
        Index("delivery_event_unapplied", "id", postgresql_where=text("applied_at is null")),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    gateway_id: Mapped[int] = mapped_column(ForeignKey("gateway.id"))
    gateway_message_id: Mapped[str]
    #: Our message, when the gateway gives our reference back, and the number of the attempt.
    message_id: Mapped[int | None]
    attempt: Mapped[int | None]
    status: Mapped[str]
    error: Mapped[str | None]
    occurred_at: Mapped[dt.datetime]
    received_at: Mapped[dt.datetime] = mapped_column(server_default=func.clock_timestamp())
    #: When it was written to its message; empty while that one is not known.
    applied_at: Mapped[dt.datetime | None]


class AuditEntry(Base):
    """Something that a person did: who, what, to how many."""

    __tablename__ = "audit_entry"
    __table_args__ = (Index(None, "at"),)

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    at: Mapped[dt.datetime] = mapped_column(server_default=func.clock_timestamp())
    login: Mapped[str]
    action: Mapped[str]
    #: What it was done to: a filter, ids, a gateway.
    target: Mapped[dict[str, Any]]
    details: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    records: Mapped[int]


# -- e-mail templates ---------------------------------------------------------------------------------------


class EmailFrame(Base):
    """The HTML around what differs between e-mails, which their payloads name. Never changed."""

    __tablename__ = "email_frame"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    #: Of the HTML, hexadecimal.
    sha256: Mapped[str] = mapped_column(unique=True)
    #: See rotina.messaging.email_frames.
    html: Mapped[str]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


class EmailTemplate(Base):
    """An e-mail to accounts, in Jinja. See rotina.messaging.email_templates."""

    __tablename__ = "email_template"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    subject: Mapped[str]
    #: What mail programs show beside the subject; empty: the first words of the text.
    preheader: Mapped[str] = mapped_column(server_default=text("''"))
    #: What stands inside the default layout, or a whole document.
    html: Mapped[str]
    #: The sender's name in the layout, and the variable `company`.
    company: Mapped[str] = mapped_column(server_default=text("''"))
    active: Mapped[bool] = mapped_column(server_default=text("true"))
    updated_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    updated_by: Mapped[str]
    #: The text part; empty: derived from the html. Last, because it hides sqlalchemy's function of that name.
    text: Mapped[str] = mapped_column(server_default=text("''"))


# -- the daily file batch -----------------------------------------------------------------------------------


class DailyFileSetting(Base):
    """What a company decides about its daily file batch; one row. See docs/daily-files.md."""

    __tablename__ = "daily_file_setting"
    __table_args__ = (
        CheckConstraint("singleton", name="one_row"),
        CheckConstraint("acknowledge_within_hours between 1 and 720", name="acknowledge_in_range"),
    )

    singleton: Mapped[bool] = mapped_column(primary_key=True, server_default=text("true"))
    #: What the partner calls this installation; part of the files' names.
    instance_id: Mapped[str]
    #: The first business date that the partner expects a batch of.
    first_business_date: Mapped[dt.date]
    #: Local time of the day after the business date until when the batch must have gone out.
    due_at: Mapped[dt.time] = mapped_column(Time, server_default=text("'09:00'"))
    #: Airflow connection of where the batch goes: type `fs` (a folder) or `sftp`.
    connection_id: Mapped[str] = mapped_column(server_default=text("'daily_files'"))
    #: Empty: the partner acknowledges nothing.
    acknowledge_within_hours: Mapped[int | None]
    active: Mapped[bool] = mapped_column(server_default=text("true"))
    updated_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    updated_by: Mapped[str]


class FileBatch(Base):
    """The four files of one business date: revision 1, or a correction after the source changed.

    The ledger tells how far it came: each instant is empty until that is done. A batch that never left is
    made anew under its sequence; one that was delivered is corrected by the next revision.
    """

    __tablename__ = "file_batch"
    __table_args__ = (
        UniqueConstraint("business_date", "revision"),
        UniqueConstraint("sequence"),
        CheckConstraint("(sequence is null) = (generated_at is null)", name="numbered_when_generated"),
        CheckConstraint(
            "delivery_began_at is null or generated_at is not null", name="begun_after_generated"
        ),
        CheckConstraint("delivered_at is null or generated_at is not null", name="delivered_after_generated"),
        CheckConstraint("verified_at is null or delivered_at is not null", name="verified_after_delivered"),
        Index(
            "file_batch_undelivered",
            "sequence",
            postgresql_where=text("sequence is not null and verified_at is null"),
        ),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    business_date: Mapped[dt.date]
    revision: Mapped[int] = mapped_column(server_default=text("1"))
    #: The partner counts batches by it, without a gap, in the order in which they go out.
    sequence: Mapped[int | None]
    #: Until when it must have gone out.
    due_at: Mapped[dt.datetime]
    expected_at: Mapped[dt.datetime] = mapped_column(server_default=func.clock_timestamp())
    generated_at: Mapped[dt.datetime | None]
    #: From then on the partner may have some of it, and it is not made anew any more.
    delivery_began_at: Mapped[dt.datetime | None]
    #: The files and the manifest stand at the partner under their final names.
    delivered_at: Mapped[dt.datetime | None]
    #: They were read again there and are what was made.
    verified_at: Mapped[dt.datetime | None]
    acknowledged_at: Mapped[dt.datetime | None]
    #: Name and SHA-256 (hexadecimal) of the manifest.
    manifest_name: Mapped[str | None]
    manifest_sha256: Mapped[str | None]
    #: What a correction changes, by feed: rows and bytes before and after.
    differences: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    #: The last error on its way to the partner; empty when there is none.
    error: Mapped[str | None]
    #: The run that made it.
    run_id: Mapped[int | None]


class FileBatchFile(Base):
    """One file of a batch."""

    __tablename__ = "file_batch_file"
    __table_args__ = (
        CheckConstraint(
            "feed in ('orders', 'orders_detail', 'orders_detail_categories', 'customers')", name="feed_known"
        ),
    )

    batch_id: Mapped[int] = mapped_column(ForeignKey("file_batch.id", ondelete="CASCADE"), primary_key=True)
    feed: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    #: Empty until generated, as are the next two and what was changed in the values, by column.
    rows: Mapped[int | None]
    bytes: Mapped[int | None]
    #: Hexadecimal.
    sha256: Mapped[str | None]
    changed_values: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    generated_at: Mapped[dt.datetime | None]
    delivered_at: Mapped[dt.datetime | None]
    verified_at: Mapped[dt.datetime | None]
    acknowledged_at: Mapped[dt.datetime | None]


class Alert(Base):
    """What the team is told of a problem on one day (delivery_monitor).

    A problem that lasts has a row for each day, of which the last is open. See docs/delivery-monitor.md.
    """

    __tablename__ = "alert"
    __table_args__ = (
        UniqueConstraint("problem", "subject", "raised_on"),
        Index("alert_open", "problem", "subject", unique=True, postgresql_where=text("ended_at is null")),
        CheckConstraint("mail_status in ('pending', 'sending', 'sent', 'unknown')", name="mail_status_known"),
        CheckConstraint(
            "recovery_status in ('pending', 'sending', 'sent', 'unknown')", name="recovery_status_known"
        ),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    #: Kind of problem, as `batch_missing` or `queue_waiting`.
    problem: Mapped[str]
    #: What has it: a business date, a routine and its date, a gateway.
    subject: Mapped[str]
    #: Local day of the monitor that found it.
    raised_on: Mapped[dt.date]
    raised_at: Mapped[dt.datetime]
    #: When the monitor first saw it; earlier than `raised_at` on the second day of one that lasts.
    began_at: Mapped[dt.datetime]
    #: What the team is told (pt-BR), what to do, and a command to copy.
    message: Mapped[str]
    remedy: Mapped[str]
    command: Mapped[str | None]
    #: `sending` is written before the mail server is called; `unknown` is not sent again.
    mail_status: Mapped[str] = mapped_column(server_default=text("'pending'"))
    #: The run whose e-mail told it, and when the mail server took that.
    mail_run_id: Mapped[int | None]
    mailed_at: Mapped[dt.datetime | None]
    #: When the monitor saw that it is over, or found it again on another day, which has a row of its own.
    ended_at: Mapped[dt.datetime | None]
    #: As `mail_status`, of the e-mail that says that it is over; empty: there is nothing to say.
    recovery_status: Mapped[str | None]
    recovery_run_id: Mapped[int | None]
    recovery_mailed_at: Mapped[dt.datetime | None]
