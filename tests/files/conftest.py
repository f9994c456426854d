"""Fixtures of the tests of the daily file batch."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from tests.files.shop import Partner, Shop


@pytest.fixture
def shop(owner: psycopg.Connection, connection: psycopg.Connection, task_uri: str, tmp_path: Path) -> Shop:
    """An empty ERP, an empty spool, and settings with 20 November 2026 as the first business date."""
    folder = tmp_path / "spool"
    folder.mkdir()
    shop = Shop(owner, connection, task_uri, folder)
    shop.save_settings()
    return shop


@pytest.fixture
def partner(tmp_path: Path) -> Partner:
    """An empty folder of the partner."""
    folder = tmp_path / "partner"
    folder.mkdir()
    return Partner(folder)
