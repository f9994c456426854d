"""The texts of the DAGs that the console shows in both languages."""

from __future__ import annotations

from collections.abc import Iterator

from rotina.docs import routines


def param_texts() -> Iterator[str]:
    """Titles, descriptions and sections of the params of all routines."""
    for routine in routines():
        for name in routine.dag.params:
            param = routine.dag.params.get_param(name)
            yield from filter(
                None, (param.schema.get("title"), param.description, param.schema.get("section"))
            )
