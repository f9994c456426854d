"""A process that delivers a batch by SFTP, to be killed or measured."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import asyncssh

from rotina.files.delivery import SftpSettings, SftpTarget
from tests.files.batches_made import load_batch


def start(settings: SftpSettings, spool: Path) -> subprocess.Popen[str]:
    """Start it; it prints the most memory that it used, in kB, when it is done."""
    assert settings.key is not None
    told = {
        "host": settings.host,
        "port": settings.port,
        "login": settings.login,
        "folder": settings.folder,
        "host_key": settings.host_keys[0].export_public_key().decode(),
        "key": settings.key.export_private_key().decode(),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, str(spool)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(told))
    process.stdin.close()
    return process


def main(spool: Path) -> None:
    told = json.load(sys.stdin)
    settings = SftpSettings(
        connection="connection daily_files",
        host=told["host"],
        port=told["port"],
        login=told["login"],
        folder=told["folder"],
        host_keys=(asyncssh.import_public_key(told["host_key"]),),
        key=asyncssh.import_private_key(told["key"]),
    )
    with SftpTarget.open(settings) as target:
        load_batch(spool).deliver(target)
    # Not ru_maxrss, which begins with what the process used that started this one.
    status = Path("/proc/self/status").read_text()
    print(status.partition("VmHWM:")[2].split()[0])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
