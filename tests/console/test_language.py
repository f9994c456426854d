"""Two languages: which one a browser gets, and that every text of the console is in both."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from decimal import Decimal
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from rotina.console import language
from rotina.console.language import TRANSLATIONS, choose

CONSOLE = TRANSLATIONS.parent
LIBRARY = "library.po"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", "en"),
        ("pt-BR,pt;q=0.9,en-US;q=0.8,en;q=0.7", "pt"),
        ("pt", "pt"),
        ("PT-br", "pt"),
        ("en-US,en;q=0.9", "en"),
        ("en-US,en;q=0.9,pt-BR;q=0.8", "en"),
        ("en;q=0.5, pt;q=0.6", "pt"),
        ("de,fr;q=0.9", "en"),
        ("de,pt;q=0.5", "pt"),
        ("pt;q=0", "en"),
        ("*", "en"),
        (";;;q=x,,", "en"),
        ("pt;q=abc,en;q=0.1", "en"),
    ],
)
def test_the_language_is_the_one_that_the_browser_would_rather_have(header: str, expected: str) -> None:
    assert choose(header) == expected


def catalog(path: Path) -> Catalog:
    with path.open("rb") as file:
        return read_po(file, locale="pt_BR")


def texts() -> set[Any]:
    """Every text of the console that is to be translated."""
    methods = [("**.py", "python"), ("**.html", "jinja2.ext:babel_extract")]
    keywords = {"_": None, "gettext": None, "lazy_gettext": None, "ngettext": (1, 2)}
    found = extract_from_dir(CONSOLE, methods, {"**.html": {"silent": "false"}}, keywords)
    return {message for _, _, message, _, _ in found if message}


def key(message: Message | Any) -> Any:
    one = message.id if isinstance(message, Message) else message
    return tuple(one) if isinstance(one, list | tuple) else one


def ours() -> dict[Any, Message]:
    return {
        key(m): m for path in TRANSLATIONS.glob("*.po") if path.name != LIBRARY for m in catalog(path) if m.id
    }


def test_every_text_is_translated_and_no_translation_is_left_over() -> None:
    library = {key(message) for message in catalog(TRANSLATIONS / LIBRARY) if message.id}
    used = {key(one) for one in texts()} | {key(one) for one in named_elsewhere()}
    assert used - ours().keys() - library == set(), "texts without a translation"
    assert ours().keys() - used == set(), "translations of nothing"


def named_elsewhere() -> Iterator[str]:
    """Texts that are translated where they are shown: titles and descriptions of the params of the DAGs."""
    from tests.console.dag_texts import param_texts

    yield from param_texts()


def test_the_texts_of_the_library_are_all_in_brazilian_portuguese() -> None:
    shipped = files("starlette_admin") / "translations" / "pt" / "LC_MESSAGES" / "admin.po"
    wanted = {key(message) for message in catalog(Path(str(shipped))) if message.id}
    assert wanted == {key(message) for message in catalog(TRANSLATIONS / LIBRARY) if message.id}


@pytest.mark.parametrize("path", sorted(TRANSLATIONS.glob("*.po")), ids=lambda path: path.name)
def test_a_translation_is_complete_and_takes_the_same_values(path: Path) -> None:
    translated = catalog(path)
    for message in translated:
        if not message.id:
            continue
        strings = message.string if isinstance(message.string, tuple) else (message.string,)
        assert all(strings), message.id
        assert not message.fuzzy, message.id
        assert list(message.check(translated)) == []
        wanted = set(re.findall(r"%\((\w+)\)", str(key(message))))
        for string in strings[-1:]:
            assert set(re.findall(r"%\((\w+)\)", string)) == wanted, message.id
    european = r"\b(ficheiro|registo|utilizador|ecrã|guardar|eliminar|palavra-passe)"
    assert re.findall(european, path.read_text(encoding="utf-8"), re.IGNORECASE) == []


class Words(HTMLParser):
    """The words of a template that stand there as they are."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._skip = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._skip += tag in ("script", "style", "title")
        for name, value in attrs:
            if name in (
                "title",
                "placeholder",
                "aria-label",
                "alt",
                "data-title",
                "data-text",
                "data-button",
            ):
                self.handle_data(value or "")

    def handle_endtag(self, tag: str) -> None:
        self._skip -= tag in ("script", "style", "title")

    def handle_data(self, data: str) -> None:
        if not self._skip and re.search(r"[^\W\d_]{2}", data.replace("Rotina", "")):
            self.found.append(data.strip())


@pytest.mark.parametrize("path", sorted((CONSOLE / "templates").rglob("*.html")), ids=lambda path: path.name)
def test_no_template_has_words_of_its_own(path: Path) -> None:
    text = re.sub(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    words = Words()
    words.feed(text)
    assert words.found == []


@pytest.mark.parametrize(
    ("locale", "expected"),
    [
        ("en", ["1,234.5", "R$1,234.50", "22 Nov 2026", "22 Nov 2026 01:05"]),
        ("pt", ["1.234,5", "R$\xa01.234,50", "22/11/2026", "22/11/2026 01:05"]),
    ],
)
def test_values_are_written_as_the_language_has_them(locale: str, expected: list[str]) -> None:
    language.set_locale(locale)
    at = dt.datetime(2026, 11, 22, 4, 5, 59, tzinfo=dt.UTC)  # 01:05 in São Paulo
    assert [
        language.number(1234.5),
        language.money(Decimal("1234.50")),
        language.day(dt.date(2026, 11, 22)),
        language.instant(at),
    ] == expected
    assert [one(None) for one in language.FILTERS.values()] == [""] * len(language.FILTERS)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0 s"),
        (0.44, "0.4 s"),
        (9.97, "10 s"),
        (59.4, "59 s"),
        (60, "1 min 00 s"),
        (200, "3 min 20 s"),
        (3600, "1 h 00 min"),
        (7512, "2 h 05 min"),
        (90_000, "1 d 01 h"),
    ],
)
def test_a_duration_is_told_in_its_two_greatest_units(seconds: float, expected: str) -> None:
    language.set_locale("en")
    assert language.duration(seconds) == expected
    assert language.duration(dt.timedelta(seconds=seconds)) == expected
