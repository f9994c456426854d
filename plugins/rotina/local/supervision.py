"""The long-running processes of the embedded environment, run by supervisord."""

from __future__ import annotations

import hashlib
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from xmlrpc.client import ServerProxy

import psutil
from supervisor.xmlrpc import SupervisorTransport

#: What runs, in the order it starts: name -> Python module and its arguments.
PARTS = {
    "partners": ("rotina.local.partners",),
    "api-server": ("airflow", "api-server"),
    "dag-processor": ("airflow", "dag-processor"),
    "scheduler": ("airflow", "scheduler"),
    "triggerer": ("airflow", "triggerer"),
}

#: Unix socket paths may have about 100 characters, and supervisord adds its pid to it for a moment.
_LONGEST_SOCKET_PATH = 85
#: What a part gets to end by itself (seconds): one to three are enough, but the scheduler waits for running
#: tasks. The triggerer, which now and then takes ten, keeps nothing that the next one could not take up.
_STOP_SECONDS = dict.fromkeys(PARTS, 10) | {"triggerer": 3}
#: Parts that end sooner when their child processes are told as well. The scheduler is not one of them: its
#: workers have to end in the order that it wants, or it waits for them in vain.
_STOP_AS_GROUP = ("triggerer",)

_CONFIG = """\
; Written by `python -m rotina.local up`; changes are lost.
[supervisord]
pidfile={folder}/supervisord.pid
logfile={logs}/supervisord.log
logfile_maxbytes=10MB
logfile_backups=3
childlogdir={logs}
directory={folder}
{user}
[unix_http_server]
file={socket}
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""

_PART = """
[program:{name}]
command={command}
directory={folder}
priority={priority}
autorestart=true
startsecs=5
startretries=3
stopsignal=TERM
stopwaitsecs={stop_seconds}
stopasgroup={stop_as_group}
killasgroup=true
redirect_stderr=true
stdout_logfile={log}
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=3
"""


class Supervision:
    """supervisord over the parts of the environment in `home`; it outlives the process that starts it."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "supervisor"
        self.logs = home / "logs"
        self.config_file = self.folder / "supervisord.conf"

    @property
    def pid(self) -> int | None:
        """Process id of the running supervisord, None when it does not run."""
        pid = self._written_pid()
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if pid is not None and str(self.config_file) in psutil.Process(pid).cmdline():
                return pid
        return None

    def start(self, environment: dict[str, str]) -> None:
        """Start supervisord, and with it all parts, which get `environment`; wait until it answers.

        Raises subprocess.CalledProcessError (with its output) when supervisord refuses to start and
        TimeoutError when it does not answer.
        """
        self.write_config()
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(self.config_file)]
        subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=30)
        deadline = time.monotonic() + 10
        while self.pid is None or not self._socket().exists():
            if time.monotonic() > deadline:
                raise TimeoutError(f"supervisord does not answer; see {self.logs / 'supervisord.log'}")
            time.sleep(0.05)

    def write_config(self) -> Path:
        """Write supervisord's configuration; returns the file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.logs.mkdir(parents=True, exist_ok=True)
        text = _CONFIG.format(
            folder=_escaped(self.folder),
            logs=_escaped(self.logs),
            socket=_escaped(self._socket()),
            # Without a user supervisord warns that it runs as root, if it does.
            user="user=root\n" if os.geteuid() == 0 else "",
        )
        for priority, (name, module) in enumerate(PARTS.items(), start=1):
            text += _PART.format(
                name=name,
                command=_escaped(shlex.join([sys.executable, "-m", *module])),
                folder=_escaped(self.folder),
                priority=priority,
                stop_seconds=_STOP_SECONDS[name],
                stop_as_group=str(name in _STOP_AS_GROUP).lower(),
                log=_escaped(self.log(name)),
            )
        self.config_file.write_text(text)
        return self.config_file

    def states(self) -> dict[str, str]:
        """State of each part as supervisord names it (STARTING, RUNNING, BACKOFF, FATAL, …)."""
        if self.pid is None:
            return {}
        return {process["name"]: process["statename"] for process in self._rpc().getAllProcessInfo()}

    def revive(self) -> None:
        """Start the parts that supervisord has given up."""
        for name, state in self.states().items():
            if state in ("FATAL", "EXITED", "STOPPED"):
                self._rpc().startProcess(name, False)

    def stop(self) -> None:
        """Stop supervisord and everything it started, also what a killed supervisord left behind."""
        pid = self._written_pid()
        if pid is None:
            return
        if self.pid is not None:
            os.kill(pid, signal.SIGTERM)
            with suppress(psutil.NoSuchProcess):
                psutil.Process(pid).wait(timeout=2 * sum(_STOP_SECONDS.values()))
        # Tasks run in process groups of their own, which supervisord's signals do not reach.
        remaining = self._members(pid)
        for process in remaining:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(remaining, timeout=10)
        (self.folder / "supervisord.pid").unlink(missing_ok=True)

    def log(self, part: str) -> Path:
        """The file with what a part writes."""
        return self.logs / f"{part}.log"

    def _written_pid(self) -> int | None:
        with suppress(FileNotFoundError, ValueError):
            return int((self.folder / "supervisord.pid").read_text())
        return None

    def _members(self, pid: int) -> list[psutil.Process]:
        """The processes of supervisord's session that run in our folder, itself included.

        supervisord opens a session, which is named after its pid and outlives it; none of the parts leave it.
        The folder makes sure that no other session is taken for it when the pid was given out again.
        """
        members = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if os.getsid(process.pid) == pid and Path(process.cwd()) == self.folder:
                    members.append(process)
        return members

    def _socket(self) -> Path:
        path = self.folder / "supervisor.sock"
        if len(str(path)) <= _LONGEST_SOCKET_PATH:
            return path
        folder = Path(tempfile.gettempdir()) / f"rotina-{os.geteuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_uid != os.geteuid() or folder.is_symlink():
            raise PermissionError(f"{folder} belongs to somebody else; set a shorter ROTINA_HOME")
        return folder / f"{hashlib.sha256(str(self.folder).encode()).hexdigest()[:16]}.sock"

    def _rpc(self) -> Any:
        transport = SupervisorTransport(None, None, f"unix://{self._socket()}")
        return ServerProxy("http://127.0.0.1", transport).supervisor


def _escaped(value: Path | str) -> str:
    """A value for supervisord's configuration, where % begins an expansion."""
    return str(value).replace("%", "%%")
