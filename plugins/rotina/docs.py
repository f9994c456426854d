"""`python -m rotina.docs [--check]`: writes the docs that repeat what the code says, or checks them.

docs/dags.md is made from the DAG files and the agenda, docs/connecting-an-erp.md from the ERP contract,
docs/daily-file-feeds.md from the feeds, and the timetable in README.md from the agenda. The words around them
are in docs/templates.
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib
import re
import runpy
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from sqlalchemy import Column, Table
from sqlalchemy.dialects import postgresql

from rotina import erp_contract
from rotina.errors import SettingError
from rotina.files.feeds import FEEDS
from rotina.runs.agenda import WEEK, Entry, load_agenda

if TYPE_CHECKING:
    from airflow.sdk import DAG

REPOSITORY = Path(__file__).parents[2]

_MARKERS = re.compile(r"(<!-- timetable -->\n).*?(<!-- /timetable -->)", re.DOTALL)


@dataclass(frozen=True)
class Routine:
    """What the docs tell of one DAG."""

    dag: DAG
    entry: Entry
    folder: str

    @property
    def name(self) -> str:
        """The name of the routine, which is its DAG id."""
        return self.entry.routine

    @property
    def title(self) -> str:
        """The title with the program code, as the Airflow UI shows it."""
        return self.dag.dag_display_name

    @property
    def text(self) -> str:
        """The docstring of the DAG file without its heading."""
        return (self.dag.doc_md or "").partition("\n")[2].strip()

    @property
    def summary(self) -> str:
        """The first paragraph of the docstring, on one line."""
        return " ".join(self.text.partition("\n\n")[0].split())

    @property
    def when(self) -> str:
        """The schedule in words, as `Monday to Friday at 08:00 and 14:00`."""
        return when(self.entry)

    @property
    def anchor(self) -> str:
        """The link target that Markdown viewers give the heading."""
        return re.sub(r"[^\w -]", "", self.title.lower()).replace(" ", "-")

    @cached_property
    def params(self) -> list[dict[str, str]]:
        """Title, name, type, default and description of each param."""
        return [
            {
                "title": param.schema.get("title", name),
                "name": name,
                "type": _type_in_words(param.schema),
                "default": "empty" if param.value is None else str(param.value).lower(),
                "description": param.description or "",
            }
            for name, param in ((name, self.dag.params.get_param(name)) for name in self.dag.params)
        ]

    @property
    def tasks(self) -> list[tuple[str, str]]:
        """Each task with what it does, in the order they run."""
        tasks = self.dag.topological_sort()  # type: ignore[no-untyped-call]
        return [(task.task_id, " ".join((task.doc_md or "").split())) for task in tasks]

    @property
    def reads(self) -> list[Table]:
        """The tables of the ERP contract that the routine reads."""
        module = importlib.import_module(f"rotina.{self.folder}.{self.name}")
        return list(getattr(module, "ERP_TABLES", ()))


def when(entry: Entry) -> str:
    """The schedule of a program in words, without its time zone."""
    days = sorted({WEEK.index(day) for day in entry.days})
    names = [WEEK[day].capitalize() for day in days]
    if len(days) == len(WEEK):
        on = "every day"
    elif len(days) > 2 and days[-1] - days[0] == len(days) - 1:
        on = f"{names[0]} to {names[-1]}"
    else:
        on = _enumerate(names)
    if entry.hours is None:
        return f"{on}, every {'hour' if entry.every_minutes == 60 else f'{entry.every_minutes} minutes'}"
    day_before = ", for the day before" if entry.day_offset else ""
    return f"{on} at {_enumerate([f'{hour:%H:%M}' for hour in entry.hours])}{day_before}"


def routines(repository: Path = REPOSITORY) -> list[Routine]:
    """All routines, in the order of the day, then by name.

    Raises:
        SettingError: a DAG file has no entry in the agenda, or no module of its own in the package.
    """
    found = []
    for path in sorted((repository / "dags").glob("*.py")):
        modules = list((repository / "plugins" / "rotina").glob(f"*/{path.stem}.py"))
        if len(modules) != 1:
            raise SettingError("routine", path.stem, f"has {len(modules)} modules in plugins/rotina, not one")
        # A DAG file calls its function, named as the file, at the end; calling it again gives the DAG.
        dag = runpy.run_path(str(path))[path.stem]()
        found.append(Routine(dag, load_agenda().entry(path.stem), modules[0].parent.name))
    return sorted(found, key=lambda routine: (routine.entry.hours or (dt.time.max,), routine.name))


def render(repository: Path = REPOSITORY) -> dict[Path, str]:
    """The text that each generated file should have, by its path.

    Raises:
        SettingError: as `routines` and `load_agenda`.
        jinja2.TemplateError: a template is wrong.
    """
    # The output is Markdown, which nobody executes.
    templates = Environment(
        loader=FileSystemLoader(repository / "docs" / "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701
    )
    known = routines(repository)
    values: dict[str, Any] = {
        "routines": known,
        "tables": list(erp_contract.metadata.tables.values()),
        "readers": lambda table: [routine.name for routine in known if table in routine.reads],
        "indexes": _indexes,
        "sql_type": _sql_type,
        "needed": _needed,
        "cell": _cell,
        "feeds": FEEDS,
    }
    files = {
        repository / "docs" / name: templates.get_template(f"{name}.j2").render(values)
        for name in ("dags.md", "connecting-an-erp.md", "daily-file-feeds.md")
    }
    readme = repository / "README.md"
    if readme.exists():
        timetable = templates.get_template("timetable.md.j2").render(values)
        text = readme.read_text(encoding="utf-8")
        files[readme] = _MARKERS.sub(lambda match: f"{match[1]}{timetable}{match[2]}", text)
    return files


def main(arguments: Sequence[str] | None = None, repository: Path = REPOSITORY) -> int:
    """The command; returns its exit code: 1 when `--check` finds a stale file.

    Raises:
        SettingError: as `routines`.
    """
    parser = argparse.ArgumentParser(prog="python -m rotina.docs", description="Write the generated docs.")
    parser.add_argument(
        "--check", action="store_true", help="change nothing; exit with 1 when a file is stale"
    )
    check = parser.parse_args(arguments).check
    stale = [
        (path, text)
        for path, text in render(repository).items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path, text in stale:
        name = path.relative_to(repository)
        if check:
            print(f"{name} is stale; `make docs` writes it anew", file=sys.stderr)
        else:
            path.write_text(text, encoding="utf-8")
            print(f"{name} written")
    return 1 if check and stale else 0


def _enumerate(words: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _type_in_words(schema: dict[str, Any]) -> str:
    types = schema.get("type", "any")
    named = [name for name in ([types] if isinstance(types, str) else types) if name != "null"]
    if "enum" in schema:
        return "one of " + ", ".join(f"`{value}`" for value in schema["enum"])
    return str(schema.get("format") or " or ".join(named))


def _sql_type(column: Column[Any]) -> str:
    return str(column.type.compile(dialect=postgresql.dialect())).lower()  # type: ignore[no-untyped-call]


def _needed(column: Column[Any]) -> str:
    if column.primary_key:
        return "key"
    return "may be empty" if column.nullable else "required"


def _indexes(table: Table) -> list[list[str]]:
    """Columns of the key and of each recommended index."""
    indexes = [[column.name for column in index.columns] for index in table.indexes]
    return [[column.name for column in table.primary_key], *sorted(indexes)]


def _cell(text: str) -> str:
    """Text that may stand in a cell of a Markdown table."""
    return " ".join(text.split()).replace("|", r"\|")


if __name__ == "__main__":
    sys.exit(main())
