"""The command line of the embedded environment: `python -m rotina.local up|down|reset|status|day`."""

from __future__ import annotations

import argparse
import datetime as dt
import sys

from rotina.errors import SettingError
from rotina.local.settings import LocalSettings


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says; returns the exit code (0 all well, 1 not, 2 a wrong setting)."""
    parser = argparse.ArgumentParser(prog="python -m rotina.local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start everything and run the demonstration day once")
    commands.add_parser("down", help="stop everything; the data stays")
    commands.add_parser("reset", help="stop everything and delete the data")
    commands.add_parser("status", help="show what runs")
    day = commands.add_parser("day", help="run every daily routine for one business date")
    day.add_argument("business_date", nargs="?", default="", metavar="DATE", help="for example 2026-11-20")
    options = parser.parse_args(arguments)
    try:
        settings = LocalSettings.from_environment()
        business_date = _business_date(options.business_date) if options.command == "day" else None
    except SettingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    # Importing these takes a second, which a wrong setting need not wait for.
    import requests

    from rotina.local.stack import Stack, StackError

    stack = Stack(settings)
    try:
        if business_date is not None:
            return 0 if stack.day(business_date) else 1
        return 1 if getattr(stack, options.command)() is False else 0
    except (StackError, TimeoutError, requests.RequestException) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; make status shows what runs, make down stops it", file=sys.stderr)
        return 130


def _business_date(text: str) -> dt.date:
    try:
        return dt.datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007 - a date has no zone
    except ValueError as error:
        raise SettingError(
            "DATE", text, "must be a date such as 2026-11-20 (make day DATE=2026-11-20)"
        ) from error


if __name__ == "__main__":
    sys.exit(main())
