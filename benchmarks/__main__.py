"""`python -m benchmarks [NAME …]`: run the benchmarks, print the figures, write results.json."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks import (  # noqa: F401 - they register themselves
    account_data_refresh,
    account_status_update,
    billing_messages,
    birthday_emails,
    class_transition,
    console,
    daily_file_batch,
    erp_hook,
    inactivity_monitor,
    queue_dispatch,
)
from benchmarks.harness import BENCHMARKS, Result, Sizes

VERDICTS = {True: "holds", False: "FAILS", None: ""}
RESULTS = Path(__file__).parent / "results.json"


def main() -> int:
    """Run what was asked for; returns 1 when a goal does not hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "name", nargs="*", choices=[[], *BENCHMARKS], help=f"of {', '.join(BENCHMARKS)}; default: all"
    )
    parser.add_argument("--accounts", type=int, default=Sizes.accounts)
    parser.add_argument("--invoices", type=int, default=Sizes.invoices)
    parser.add_argument("--messages", type=int, default=Sizes.messages)
    parser.add_argument("--old-messages", type=int, default=Sizes.old_messages)
    parser.add_argument("--movements", type=int, default=Sizes.movements)
    parser.add_argument("--orders", type=int, default=Sizes.orders)
    arguments = parser.parse_args()
    sizes = Sizes(
        arguments.accounts,
        arguments.invoices,
        arguments.messages,
        arguments.old_messages,
        arguments.movements,
        arguments.orders,
    )

    results: list[Result] = []
    for name in arguments.name or BENCHMARKS:
        print(f"{name}:", flush=True)
        results += BENCHMARKS[name](sizes)

    rows = [result.as_row() for result in results]
    RESULTS.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    print()
    for result in results:
        print(
            f"{VERDICTS[result.holds]:<6} {result.name:<44} "
            f"{result.value:>10.3f} {result.unit:<2} "
            f"{result.ratio:>8.3f} × {result.baseline_name} ({result.baseline:.3f}), "
            f"goal {result.goal or 'none'}"
        )
    return 1 if any(result.holds is False for result in results) else 0


if __name__ == "__main__":  # demo.load makes its rows in a process that imports this module too
    sys.exit(main())
