"""Fixtures of the account routines."""

from __future__ import annotations

import psycopg
import pytest

from tests.accounts.erp_data import Erp


@pytest.fixture
def erp(owner: psycopg.Connection) -> Erp:
    """An empty reference ERP whose integration is active."""
    return Erp(owner)
