"""Fixtures of the tests of the daily file batch and of its delivery."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from rotina.files.delivery import FolderTarget, SftpSettings, SftpTarget, Target
from tests.files.batches_made import Batch, make_batch
from tests.files.partner_servers import need_openssh, openssh
from tests.files.shop import Partner, Shop

OpenPartner = Callable[[], AbstractContextManager[Target]]


@pytest.fixture(scope="session")
def openssh_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SftpSettings]:
    """OpenSSH's server, for all tests."""
    need_openssh()
    with openssh(tmp_path_factory.mktemp("sshd")) as settings:
        yield settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The partner's folder."""
    path = tmp_path / "partner"
    path.mkdir()
    return path


@pytest.fixture
def sftp(openssh_server: SftpSettings, folder: Path) -> SftpSettings:
    """The partner's folder, by OpenSSH."""
    return replace(openssh_server, folder=str(folder))


@pytest.fixture(params=["folder", "sftp"])
def open_partner(request: pytest.FixtureRequest, folder: Path) -> OpenPartner:
    """Opens the partner's folder, in both ways."""
    if request.param == "folder":
        return lambda: nullcontext(FolderTarget(folder))
    settings = request.getfixturevalue("sftp")
    return lambda: SftpTarget.open(settings)


@pytest.fixture
def batch(tmp_path: Path) -> Batch:
    """A batch in the spool."""
    return make_batch(tmp_path / "spool" / "1")


@pytest.fixture
def corrected(tmp_path: Path) -> Batch:
    """The batch of the same day that corrects it."""
    return make_batch(tmp_path / "spool" / "2", sequence=2)


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
