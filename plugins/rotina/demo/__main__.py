"""Fill a database with demonstration data, or import the purchases of a file into it.

python -m rotina.demo load --accounts 2000 --seed 2026 --date 2026-11-20 URI
python -m rotina.demo purchases FILE URI
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from dataclasses import asdict
from pathlib import Path

import psycopg
from sqlalchemy.exc import SQLAlchemyError

from rotina.demo import import_purchases, load
from rotina.errors import RotinaError


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m rotina.demo",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    loading = commands.add_parser("load", help="demonstration data for an empty database")
    loading.add_argument("--accounts", type=int, required=True, metavar="N")
    loading.add_argument("--seed", type=int, required=True, metavar="S")
    loading.add_argument(
        "--date",
        type=dt.date.fromisoformat,
        required=True,
        metavar="D",
        help="last day of the data, YYYY-MM-DD",
    )
    loading.add_argument("--invoices", type=int, metavar="N", help="10 per customer if not given")
    loading.add_argument(
        "--no-problems", action="store_true", help="leave out the unusable invoices and phones"
    )
    importing = commands.add_parser(
        "purchases", help="purchases of a file: customer, sample, date, items, value"
    )
    importing.add_argument("file", type=Path)
    for command in (loading, importing):
        command.add_argument("uri", metavar="URI", help="postgresql://owner@host/database")
    return parser.parse_args()


def main() -> None:
    """Run the command and print how many rows it added, per table."""
    arguments = _arguments()
    try:
        if arguments.command == "load":
            counts = asdict(
                load(
                    arguments.uri,
                    accounts=arguments.accounts,
                    seed=arguments.seed,
                    business_date=arguments.date,
                    invoices=arguments.invoices,
                    problems=not arguments.no_problems,
                    progress=print,
                )
            )
        else:
            with psycopg.connect(arguments.uri) as connection:
                counts = asdict(import_purchases(connection, arguments.file))
    except (RotinaError, OSError, psycopg.Error, SQLAlchemyError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
    for name, count in counts.items():
        print(f"{name.replace('_', ' '):18} {count:>12,}")


if __name__ == "__main__":
    main()
