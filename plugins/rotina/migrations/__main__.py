"""`python -m rotina.migrations URI [--reference-erp]`: bring a database to the newest schema."""

from __future__ import annotations

import argparse

from rotina.migrations import upgrade

parser = argparse.ArgumentParser(prog="python -m rotina.migrations", description=__doc__)
parser.add_argument("uri", help="postgresql://owner@host/database")
parser.add_argument(
    "--reference-erp", action="store_true", help="also create the tables of the reference ERP"
)
arguments = parser.parse_args()
upgrade(arguments.uri, reference_erp=arguments.reference_erp)
