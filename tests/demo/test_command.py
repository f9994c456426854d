"""`python -m rotina.demo`, as a person types it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PLUGINS = Path(__file__).parents[2] / "plugins"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rotina.demo", *arguments],
        env={"PYTHONPATH": str(PLUGINS), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_load_and_purchases(database: str, tmp_path: Path) -> None:
    load = ("load", "--accounts", "50", "--seed", "1", "--date", "2026-11-20", database)
    first = run(*load)
    assert (first.returncode, first.stderr) == (0, "")
    assert "100 %  50 accounts" in first.stdout
    second = run(*load)
    assert second.returncode == 1
    assert "SettingError: database" in second.stderr
    assert "Traceback" not in second.stderr

    file = tmp_path / "shop.txt"
    file.write_text("00004 0001 19970118 2 29.73\n", encoding="ascii")
    assert run("purchases", str(file), database).stdout.split() == [
        "purchases", "1", "customers", "1", "accounts", "1", "invoices", "1",
    ]  # fmt: skip
    file.write_text("00004 0001 19970118 2 -1\n", encoding="ascii")
    assert "shop.txt, line 1, value" in run("purchases", str(file), database).stderr


def test_wrong_arguments() -> None:
    assert (
        run("load", "--accounts", "50", "--seed", "1", "--date", "20/11/2026", "postgresql://x").returncode
        == 2
    )
    missing = run("purchases", "/does/not/exist", "postgresql://nobody@127.0.0.1:1/x")
    assert missing.returncode == 1
    assert "Traceback" not in missing.stderr
