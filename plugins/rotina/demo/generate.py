"""Makes the demonstration data: blocks of people and what they bought, as numpy columns.

Blocks do not depend on each other: each has its own random stream, its own numbers of rows and first keys,
all known beforehand. So memory does not grow with the size asked for.
"""

from __future__ import annotations

import datetime as dt
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from faker.providers.company.pt_BR import Provider as CompanyNames
from faker.providers.person.pt_BR import Provider as PersonNames
from numpy.typing import NDArray
from sqlalchemy import Table

from rotina import erp_contract, models
from rotina.errors import SettingError

Integers = NDArray[np.int64]
Days = NDArray[np.datetime64]
Moments = NDArray[np.datetime64]
Texts = NDArray[np.str_]

NULL = r"\N"  # how the text format of COPY writes it

#: Demonstration customers are numbered from here; customers of purchase files far above (purchases.py).
FIRST_CUSTOMER_ID = 1_000_001
#: The documents have eight digits to tell people apart.
MOST_ACCOUNTS = 90_000_000
FEWEST_ACCOUNTS = 10
#: People know an invoice or order by its key plus this.
CODE_OFFSET = 100_000_000

#: Whatever the size, as many people have a contract with something to remind of (add_message_settings.sql and
#: add_problem_phones.sql count on it): days from their due date to the business date.
_REMINDED = np.array([-3, 0, 3, 10, 0, 0, 0, 3, -3], "m8[D]")
#: Owners of the accounts in turn (add_sales_team.sql says who they are); half of the accounts have none.
_OWNERS = np.array(["vendas1", NULL, "vendas2", NULL, "vendas3", NULL, "vendas4", NULL])
#: How long before its due date a receivable is issued, and how long a signature link works.
_ISSUED_BEFORE = np.timedelta64(45, "D")
_LINK_WORKS = np.timedelta64(15, "D")
#: Months of receivables before and after that of the business date.
_MONTHS_BEFORE, _MONTHS_AFTER = 6, 1

_YEAR = 365
_OPENING_SECOND = 8 * 3600
_OPEN_SECONDS = 12 * 3600
_CLOSING = np.timedelta64(23, "h")  # nothing changes later than this on the business date
_ROWS_PER_BLOCK = 500_000

_DOMAINS = np.array(["example.com", "example.org", "example.net"])
_STORES = np.array(["SP01", "SP02", "RJ01", "WEB"])
_PAYMENT_METHODS = np.array(["credit_card", "pix", "boleto"])
_PRODUCTS = np.array(
    ["Cafeteira", "Liquidificador", "Ventilador", "Fone de ouvido", "Mochila", "Caderno", "Garrafa térmica",
     "Luminária", "Teclado", "Cadeira", "Panela", "Toalha"]
)  # fmt: skip
_PRICES = np.array([18990, 14990, 12990, 9990, 15990, 1890, 6990, 8490, 17990, 49990, 11990, 3990])  # cents


def _ascii(names: Texts) -> Texts:
    """The names as the local part of an e-mail address spells them."""
    plain = [unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode() for name in names]
    return np.array([name.lower().replace(" ", ".") for name in plain])


_FIRST_NAMES = np.array(PersonNames.first_names)
_LAST_NAMES = np.array(PersonNames.last_names)
_COMPANY_SUFFIXES = np.array(CompanyNames.company_suffixes)
_FIRST_NAMES_ASCII = _ascii(_FIRST_NAMES)
_LAST_NAMES_ASCII = _ascii(_LAST_NAMES)


class Rows(NamedTuple):
    """Rows of one table: its columns, by name, all of the same length.

    Integers and texts are written as they are, datetime64 with NaT as null, floats as money: whole cents
    divided by 100, which two decimals print exactly.
    """

    table: Table
    columns: dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Plan:
    """What to generate. Equal plans make equal data (with the numpy and Faker of constraints.txt).

    Raises:
        SettingError: a size or the seed is out of range.
    """

    accounts: int
    seed: int
    business_date: dt.date
    invoices: int | None = None

    def __post_init__(self) -> None:
        if not FEWEST_ACCOUNTS <= self.accounts <= MOST_ACCOUNTS:
            raise SettingError(
                "accounts", self.accounts, f"must be from {FEWEST_ACCOUNTS} to {MOST_ACCOUNTS:,}"
            )
        if self.seed < 0:
            raise SettingError("seed", self.seed, "must be zero or more")
        if self.invoices is not None and self.invoices < FEWEST_ACCOUNTS:
            raise SettingError("invoices", self.invoices, f"must be {FEWEST_ACCOUNTS} or more")

    @property
    def unlinked_accounts(self) -> int:
        """Accounts that the ERP does not know: 2 %."""
        return self.accounts // 50

    @property
    def people(self) -> int:
        """Everybody: the accounts, and then the customers (1 % of them) that have no account."""
        return self.accounts + max(1, round((self.accounts - self.unlinked_accounts) / 99))

    @property
    def customers(self) -> int:
        """Customers of the ERP."""
        return self.people - self.unlinked_accounts

    @property
    def invoice_total(self) -> int:
        """Invoices: as many as asked for, else 10 per customer."""
        return 10 * self.customers if self.invoices is None else self.invoices

    @property
    def blocks(self) -> int:
        """Into how many blocks the work is cut, so that each has a bearable number of rows."""
        rows = 10 * self.people + self.invoice_total
        return max(1, min(-(-rows // (2 * _ROWS_PER_BLOCK)), self.people // 100))

    @cached_property
    def today(self) -> np.datetime64:
        """The business date."""
        return np.datetime64(self.business_date, "D")

    @cached_property
    def first_document(self) -> int:
        """Where the documents start, so that another seed gives other documents."""
        return int(np.random.SeedSequence(self.seed).generate_state(1)[0])

    def share(self, total: int, block: int) -> range:
        """The rows, of `total` numbered from 0, that belong to a block."""
        return range(total * block // self.blocks, total * (block + 1) // self.blocks)


def generate(plan: Plan, block: int) -> Iterator[Rows]:
    """The rows of block number `block` (from 0, less than `plan.blocks`), table by table."""
    rng = np.random.default_rng(np.random.SeedSequence(plan.seed, spawn_key=(block,)))
    people = _people(plan, block, rng)
    yield Rows(models.Account.__table__, _accounts(plan, people, rng))  # type: ignore[arg-type]

    known = people["customer_id"] > 0
    customers = {name: column[known] for name, column in people.items()}
    yield Rows(erp_contract.customer, {c.name: customers[c.name] for c in erp_contract.customer.columns})
    # Few customers buy a lot, many buy little or nothing.
    buying = rng.gamma(0.5, size=len(customers["customer_id"]))
    yield _invoices(plan, block, rng, customers, buying)
    yield _quotes(plan, block, rng, customers, buying)
    contracts = _contracts(plan, block, rng, customers)
    yield contracts
    yield from _orders(plan, block, rng, customers, buying)
    in_force = contracts.columns["status"] != "ended"
    billed = {name: column[in_force] for name, column in contracts.columns.items()}
    yield _receivables(plan, block, rng, billed)
    yield _signature_requests(plan, block, rng, billed)


def _people(plan: Plan, block: int, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
    """Persons and companies. `customer_id` is 0 for those that the ERP does not know."""
    index: Integers = np.array(plan.share(plan.people, block))
    size = len(index)
    birth_on = plan.today - rng.integers(18 * _YEAR, 90 * _YEAR, size).astype("m8[D]")
    company = rng.random(size) < 0.15
    e_mail_missing = rng.random(size) < 0.08
    if block == 0:  # whatever the size: one person born on 29 February, three with their birthday today
        company[:4] = e_mail_missing[:4] = False
        birth_on[0] = np.datetime64(f"{(plan.business_date.year - 32) // 4 * 4}-02-29")
        birth_on[1:4] = np.datetime64(plan.business_date.replace(year=plan.business_date.year - 32))
    birth_on[company] = np.datetime64("NaT", "D")

    first, last, second = (
        rng.integers(0, len(pool), size) for pool in (_FIRST_NAMES, _LAST_NAMES, _LAST_NAMES)
    )
    suffix = _COMPANY_SUFFIXES[rng.integers(0, len(_COMPANY_SUFFIXES), size)]
    # A company is called after the families of its owners, a person has one given name and two of family.
    given = np.where(company, _LAST_NAMES[first % len(_LAST_NAMES)], _FIRST_NAMES[first])
    given_ascii = np.where(company, _LAST_NAMES_ASCII[first % len(_LAST_NAMES)], _FIRST_NAMES_ASCII[first])
    family = np.where(company, suffix, _LAST_NAMES[second])
    names = map("%s %s %s".__mod__, zip(given, _LAST_NAMES[last], family, strict=True))
    e_mails = map(
        "%s.%s%d@%s".__mod__,
        zip(given_ascii, _LAST_NAMES_ASCII[last], index + 1, rng.choice(_DOMAINS, size), strict=True),
    )
    phones = map("+55119%08d".__mod__, rng.integers(0, 10**8, size).tolist())
    phone_missing = rng.random(size) < 0.05
    registered_on = _days(plan, rng, np.full(size, plan.today - np.timedelta64(8 * _YEAR, "D")))
    if block == 0:
        phone_missing[: len(_REMINDED)] = False
        registered_on[: len(_REMINDED)] = plan.today - np.timedelta64(2 * _YEAR, "D")
    created_at = _moments(plan, block, rng, registered_on)
    unlinked = (index % 50 == 49) & (index < plan.accounts)
    return {
        "index": index,
        "customer_id": np.where(unlinked, 0, FIRST_CUSTOMER_ID + index),
        "kind": np.where(company, "company", "person"),
        "name": np.array(list(names)),
        "document": _documents((plan.first_document + index * 61_803_399) % 10**8, company),
        "email": np.where(e_mail_missing, NULL, np.array(list(e_mails))),
        "phone": np.where(phone_missing, NULL, np.array(list(phones))),
        "birth_on": birth_on,
        "created_at": created_at,
        "updated_at": _later(plan, rng, created_at),
    }


def _accounts(
    plan: Plan, people: dict[str, NDArray[Any]], rng: np.random.Generator
) -> dict[str, NDArray[Any]]:
    mine = people["index"] < plan.accounts
    account = {
        name: people[name][mine]
        for name in ("kind", "name", "document", "email", "phone", "birth_on", "created_at")
    }
    index, customer_id = people["index"][mine], people["customer_id"][mine]
    return account | {
        "id": index + 1,
        "active": (rng.random(len(index)) < 0.97) | (index < len(_REMINDED)),
        "erp_customer_id": np.where(customer_id > 0, customer_id.astype(str), NULL),
        "owner_login": _OWNERS[index % len(_OWNERS)],
        # Nobody cares for those to whom nothing happens (add_activities.sql).
        "updated_at": np.where(index % 20 == 6, people["created_at"][mine], people["updated_at"][mine]),
    }


def _invoices(
    plan: Plan, block: int, rng: np.random.Generator, customers: dict[str, NDArray[Any]], buying: NDArray[Any]
) -> Rows:
    owner, issued_at, number = _events(plan, block, rng, customers, buying, plan.invoice_total, 6 * _YEAR)
    cancelled_at = np.where(
        rng.random(len(owner)) < 0.02,
        _later(plan, rng, issued_at, at_most=np.timedelta64(30, "D")),
        np.datetime64("NaT", "D"),
    )
    return Rows(
        erp_contract.invoice,
        {
            "invoice_id": number,
            "code": CODE_OFFSET + number,
            "customer_id": customers["customer_id"][owner],
            "issued_on": issued_at.astype("M8[D]"),
            "value": _values(rng, len(owner)) / 100,
            "cancelled_at": cancelled_at,
            "updated_at": np.where(np.isnat(cancelled_at), issued_at, cancelled_at),
        },
    )


def _quotes(
    plan: Plan, block: int, rng: np.random.Generator, customers: dict[str, NDArray[Any]], buying: NDArray[Any]
) -> Rows:
    owner, quoted_at, number = _events(plan, block, rng, customers, buying, 3 * plan.customers, 6 * _YEAR)
    return Rows(
        erp_contract.quote,
        {
            "quote_id": number,
            "customer_id": customers["customer_id"][owner],
            "quoted_on": quoted_at.astype("M8[D]"),
            "value": _values(rng, len(owner)) / 100,
            "updated_at": quoted_at,
        },
    )


def _contracts(plan: Plan, block: int, rng: np.random.Generator, customers: dict[str, NDArray[Any]]) -> Rows:
    """One customer in five has a contract; of those, one in ten has ended."""
    chosen = rng.random(len(customers["customer_id"])) < 0.2
    if block == 0:
        chosen[: len(_REMINDED)] = True
    has_one = np.flatnonzero(chosen)
    starts_at = customers["created_at"][has_one]
    status = rng.choice(np.array(["active", "blocked", "ended"]), len(has_one), p=[0.85, 0.05, 0.1])
    if block == 0:
        status[: len(_REMINDED)] = "active"
    ended_at = _later(plan, rng, starts_at)
    return Rows(
        erp_contract.contract,
        {
            "contract_id": customers["index"][has_one] + 1,
            "customer_id": customers["customer_id"][has_one],
            "status": status,
            "starts_on": starts_at.astype("M8[D]"),
            "ends_on": np.where(status == "ended", ended_at, np.datetime64("NaT", "D")).astype("M8[D]"),
            "monthly_value": rng.integers(49, 500, len(has_one)) - 0.1,
            "updated_at": np.where(status == "active", starts_at, ended_at),
        },
    )


def _orders(
    plan: Plan, block: int, rng: np.random.Generator, customers: dict[str, NDArray[Any]], buying: NDArray[Any]
) -> Iterator[Rows]:
    """The orders of the last year, one per customer on average, their one to three items, and payments."""
    owner, ordered_at, number = _events(
        plan, block, rng, customers, buying, plan.customers, _YEAR, yesterday=True
    )
    item_count = rng.integers(1, 4, len(owner))
    order = np.repeat(np.arange(len(owner)), item_count)
    line_number = np.arange(len(order)) - np.repeat(np.cumsum(item_count) - item_count, item_count) + 1
    product = rng.integers(0, len(_PRODUCTS), len(order))
    quantity = rng.integers(1, 4, len(order))
    items = np.bincount(order, weights=quantity * _PRICES[product]).astype(np.int64)
    discount = np.where(rng.random(len(owner)) < 0.3, items // 10, 0)
    shipping = rng.integers(0, 5000, len(owner))
    recent = ordered_at >= plan.today - np.timedelta64(2, "D")
    status = np.where(rng.random(len(owner)) < 0.03, "cancelled", np.where(recent, "open", "invoiced"))
    store = rng.choice(_STORES, len(owner))
    total = (items - discount + shipping + items // 10) / 100  # a tenth of taxes
    updated_at = np.where(
        status == "open", ordered_at, _later(plan, rng, ordered_at, at_most=np.timedelta64(2, "D"))
    )
    yield Rows(
        erp_contract.sales_order,
        {
            "order_id": number,
            "code": CODE_OFFSET + number,
            "customer_id": customers["customer_id"][owner],
            "ordered_on": ordered_at.astype("M8[D]"),
            "store_code": store,
            "status": status,
            "items_value": items / 100,
            "discount_value": discount / 100,
            "shipping_value": shipping / 100,
            "total_value": total,
            "updated_at": updated_at,
            "channel": np.where(store == "WEB", "site", np.where(number % 10 == 0, "phone", "store")),
        },
    )
    yield Rows(
        erp_contract.sales_order_item,
        {
            "order_id": number[order],
            "line_number": line_number,
            "sku": 1001 + product,
            "product_name": _PRODUCTS[product],
            "quantity": quantity,
            "unit_value": _PRICES[product] / 100,
        },
    )
    # One order in ten is paid in two ways: a part by pix, and the rest.
    first = np.where(number % 10 == 3, np.rint(total * 30) / 100, total)
    for part, value in enumerate((first, total - first)):
        paid = value > 0
        method = np.where(part == 1, "pix", _PAYMENT_METHODS[number % len(_PAYMENT_METHODS)])
        yield Rows(
            erp_contract.payment,
            {
                "payment_id": 2 * number[paid] + part,
                "order_id": number[paid],
                "method": method[paid],
                "installments": np.where(method == "credit_card", number % 12 + 1, 1)[paid],
                "value": value[paid],
                "updated_at": updated_at[paid],
            },
        )


def _receivables(
    plan: Plan, block: int, rng: np.random.Generator, contracts: dict[str, NDArray[Any]]
) -> Rows:
    """The monthly charges of the contracts in force, as far as they are issued.

    Many are paid some days early or late, a few never; a contract that is blocked has not paid lately.
    """
    months = plan.today.astype("M8[M]") + np.arange(-_MONTHS_BEFORE, _MONTHS_AFTER + 1).astype("m8[M]")
    first_days = months.astype("M8[D]")
    last_days = (months + np.timedelta64(1, "M")).astype("M8[D]") - np.timedelta64(1, "D")
    after_the_first = rng.integers(0, 31, len(contracts["contract_id"])).astype("m8[D]")
    if block == 0:
        shown_on = plan.today - _REMINDED
        after_the_first[: len(_REMINDED)] = shown_on - shown_on.astype("M8[M]").astype("M8[D]")
    due_on = np.minimum(first_days + after_the_first[:, np.newaxis], last_days)
    first_due_on = contracts["starts_on"][:, np.newaxis] + np.timedelta64(10, "D")
    contract, number = np.nonzero((due_on >= first_due_on) & (due_on - _ISSUED_BEFORE <= plan.today))
    due_on, starts_on = due_on[contract, number], contracts["starts_on"][contract]
    size = len(due_on)

    issued_at = _moments(plan, block, rng, np.maximum(due_on - _ISSUED_BEFORE, starts_on))
    paid_on = due_on + np.floor(rng.exponential(6.0, size) - 4).astype("m8[D]")
    unpaid = (paid_on > plan.today) | (rng.random(size) < 0.02)
    unpaid |= (contracts["status"][contract] == "blocked") & (due_on > plan.today - np.timedelta64(60, "D"))
    cancelled = rng.random(size) < 0.02
    if block == 0:
        shown = (contract < len(_REMINDED)) & (due_on >= plan.today - _REMINDED.max())
        unpaid |= shown
        cancelled &= ~shown
    nothing = np.datetime64("NaT", "s")
    paid_at = np.where(unpaid | cancelled, nothing, _moments(plan, block, rng, paid_on))
    cancelled_at = np.where(cancelled, _later(plan, rng, issued_at, at_most=np.timedelta64(30, "D")), nothing)
    receivable_id = contracts["contract_id"][contract] * len(months) + number
    value = contracts["monthly_value"][contract]
    cents = np.rint(value * 100).astype(np.int64)
    # The digitable line of a boleto: no bank has the number 000, so nobody can pay one by mistake.
    payment_codes = map(
        "0009%029d0000%010d".__mod__, zip(receivable_id.tolist(), cents.tolist(), strict=True)
    )
    return Rows(
        erp_contract.receivable,
        {
            "receivable_id": receivable_id,
            "code": CODE_OFFSET + receivable_id,
            "customer_id": contracts["customer_id"][contract],
            "due_on": due_on,
            "value": value,
            "payment_code": np.array(list(payment_codes), dtype=object),
            "paid_at": paid_at,
            "cancelled_at": cancelled_at,
            "updated_at": np.where(cancelled, cancelled_at, np.where(unpaid, issued_at, paid_at)),
        },
    )


def _signature_requests(
    plan: Plan, block: int, rng: np.random.Generator, contracts: dict[str, NDArray[Any]]
) -> Rows:
    """One contract in ten was to be signed in the last month: half of them are, few were withdrawn."""
    asked = rng.random(len(contracts["contract_id"])) < 0.1
    if block == 0:
        asked[:3] = True
    contract = {name: column[asked] for name, column in contracts.items()}
    size = len(contract["contract_id"])
    days = _days(plan, rng, np.maximum(contract["starts_on"], plan.today - np.timedelta64(30, "D")))
    signed, withdrawn = rng.random(size) < 0.5, rng.random(size) < 0.05
    if block == 0:  # whatever the size: links to be sent
        days[:3] = plan.today
        signed[:3] = withdrawn[:3] = False
    requested_at = _moments(plan, block, rng, days)
    ended_at = _later(plan, rng, requested_at, at_most=np.timedelta64(5, "D"))
    nothing = np.datetime64("NaT", "s")
    return Rows(
        erp_contract.signature_request,
        {
            "signature_request_id": contract["contract_id"],
            "customer_id": contract["customer_id"],
            "contract_id": contract["contract_id"],
            "link": np.array([f"https://assinatura.example.com/{key}" for key in contract["contract_id"]]),
            "requested_at": requested_at,
            "expires_at": requested_at + _LINK_WORKS,
            "signed_at": np.where(signed & ~withdrawn, ended_at, nothing),
            "cancelled_at": np.where(withdrawn, ended_at, nothing),
            "updated_at": np.where(signed | withdrawn, ended_at, requested_at),
        },
    )


def _events(
    plan: Plan,
    block: int,
    rng: np.random.Generator,
    customers: dict[str, NDArray[Any]],
    buying: NDArray[Any],
    total: int,
    days_back: int,
    *,
    yesterday: bool = False,
) -> tuple[Integers, Moments, Integers]:
    """This block's share of `total` events, in order of time: position of the customer, moment, number."""
    share = plan.share(total, block)
    owner = rng.choice(len(buying), len(share), p=buying / buying.sum())
    if block == 0:  # whatever the size: something happens on the business date
        owner[:3] = np.arange(3)
        if yesterday:
            owner[3:6] = np.arange(3)
    registered_on = customers["created_at"][owner].astype("M8[D]")
    days = _days(plan, rng, np.maximum(registered_on, plan.today - np.timedelta64(days_back, "D")))
    if block == 0:
        days[:3] = plan.today
        if yesterday:
            days[3:6] = plan.today - np.timedelta64(1, "D")
    moments = _moments(plan, block, rng, days)
    order = np.argsort(moments, kind="stable")
    return owner[order], moments[order], np.array(share) + 1


def _days(plan: Plan, rng: np.random.Generator, first: Days) -> Days:
    """Days from `first` to the business date, both included."""
    length = (plan.today - first).astype(np.int64) + 1
    days: Days = first + (rng.random(len(first)) * length).astype("m8[D]")
    return days


def _moments(plan: Plan, block: int, rng: np.random.Generator, days: Days) -> Moments:
    """Moments in opening hours, as the clock in São Paulo shows them.

    Each block has its own part of every day: so that in a day, a later moment has a higher number.
    """
    part_of_day = (block + rng.random(len(days))) / plan.blocks
    moments: Moments = days.astype("M8[s]") + (_OPENING_SECOND + part_of_day * _OPEN_SECONDS).astype("m8[s]")
    return moments


def _later(
    plan: Plan, rng: np.random.Generator, moments: Moments, at_most: np.timedelta64 | None = None
) -> Moments:
    """Moments after the given ones, until closing time of the business date at the latest."""
    room = (plan.today.astype("M8[s]") + _CLOSING) - moments
    if at_most is not None:
        room = np.minimum(room, at_most)
    later: Moments = moments + (rng.random(len(moments)) * room.astype(np.int64)).astype("m8[s]")
    return later


def _values(rng: np.random.Generator, size: int) -> Integers:
    """Values in cents: around R$ 110, a few of them large."""
    cents: Integers = np.rint(np.exp(rng.normal(4.7, 1.0, size)) * 100).astype(np.int64)
    return cents


def _documents(root: Integers, company: NDArray[np.bool_]) -> Texts:
    """A CPF or CNPJ with correct check digits for each different number of eight digits."""
    eight = root[:, np.newaxis] // 10 ** np.arange(7, -1, -1) % 10
    # The ninth digit of a CPF differs from the first: eleven equal digits are not a CPF.
    cpf = np.column_stack([eight, (eight[:, 0] + 8) % 10])
    branch = np.broadcast_to([0, 0, 0, 1], (len(root), 4))
    cnpj = np.column_stack([eight, branch])
    for _ in range(2):
        cpf = _with_check_digit(cpf, largest_weight=11)
        cnpj = _with_check_digit(cnpj, largest_weight=9)
    return np.where(company, _digits_as_text(cnpj), _digits_as_text(cpf))


def _with_check_digit(digits: Integers, largest_weight: int) -> Integers:
    """The digits and the one that makes the weighted sum a multiple of eleven (0 where that would be 10).

    The weights go from 2 at the last digit up to the largest, and start anew.
    """
    weights = np.arange(digits.shape[1])[::-1] % (largest_weight - 1) + 2
    return np.column_stack([digits, -(digits @ weights) % 11 % 10])


def _digits_as_text(digits: Integers) -> Texts:
    characters = np.ascontiguousarray(digits + ord("0"), dtype=np.uint8)
    return characters.view(f"S{digits.shape[1]}").ravel().astype(np.str_)
