"""Fixtures of the tests of the delivery."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from rotina.files.delivery import FolderTarget, SftpSettings, SftpTarget, Target
from tests.files.batches_made import Batch, make_batch
from tests.files.partner_servers import need_openssh, openssh

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
def partner(request: pytest.FixtureRequest, folder: Path) -> OpenPartner:
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
