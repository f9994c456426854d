"""The texts of the DAGs that the console shows in both languages."""

from __future__ import annotations

from collections.abc import Iterator

from rotina.docs import routines


def param_texts() -> Iterator[str]:
    """Titles, descriptions and choices of the params that the console's forms show."""
    for routine in routines():
        for name in routine.dag.params:
            if name in ("business_date", "queue"):
                continue
            param = routine.dag.params.get_param(name)
            shown = param.schema.get("values_display", {})
            yield from filter(None, (param.schema.get("title"), param.description, *shown.values()))
