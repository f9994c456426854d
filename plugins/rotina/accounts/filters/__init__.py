"""The filter language: conditions over the fields of accounts, stored as JSON (docs/audiences.md)."""

from rotina.accounts.filters.fields import ACCOUNT_ID, FIELDS, Field, accounts_from, field_value
from rotina.accounts.filters.language import Condition, Filter, Group, describe, parse_filter
from rotina.accounts.filters.logic import can_hold, implies
from rotina.expressions import execute

__all__ = [
    "ACCOUNT_ID",
    "FIELDS",
    "Condition",
    "Field",
    "Filter",
    "Group",
    "accounts_from",
    "can_hold",
    "describe",
    "execute",
    "field_value",
    "implies",
    "parse_filter",
]
