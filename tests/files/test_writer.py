"""The writer: clean rows pass at once, others are cleaned, whichever way the copy is cut into pieces."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import pytest

from rotina.files.feeds import Column, Feed
from rotina.files.spool import SpoolError
from rotina.files.writer import DamagedFileError, FeedFile, Written

FEED = Feed(
    code="orders",
    label="TEST",
    statement="list_orders",
    key=("a",),
    columns=(
        Column("A", "a", "text", "", 10),
        Column("B", "b", "whole", "", 5),
        Column("C", "c", "text", "", 10),
    ),
    description="",
)
HEADER = b"A|B|C\n"


def write(path: Path, *pieces: bytes) -> tuple[Written, bytes]:
    """Write a file from the pieces of a copy; returns what is told of it, and the file without its header."""
    path.unlink(missing_ok=True)
    with FeedFile(FEED, path) as file:
        for piece in pieces:
            asyncio.run(file.write(piece))
        written = file.finish()
    data = path.read_bytes()
    assert data.startswith(HEADER)
    assert (written.bytes, written.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    return written, data.removeprefix(HEADER)


@pytest.mark.parametrize(
    ("copied", "cleaned", "changed"),
    [
        (rb"a|1|c", rb"a|1|c", {}),
        (rb"a\|b|1|c\nd", rb"a b|1|c d", {"A": 1, "C": 1}),
        (rb"a\\|1|c\\\|", rb"a/|1|c/ ", {"A": 1, "C": 1}),
        (rb'a"|1|"', rb"a'|1|'", {"A": 1, "C": 1}),
        ("á\x85|1|\u2028".encode(), "á |1| ".encode(), {"A": 1, "C": 1}),
        (b"abc\x01|1|c", b"abc|1|c", {"A": 1}),  # cut
        (b"a|\x01|\x01", b"a|0|", {"B": 1, "C": 1}),  # did not fit
        (b"a\x02\x7f|1|c", b"a  |1|c", {"A": 1}),
        ("ção|1|\xa0º".encode(), "ção|1|\xa0º".encode(), {}),
    ],
)
def test_what_breaks_a_row_is_replaced_and_counted(
    tmp_path: Path, copied: bytes, cleaned: bytes, changed: dict[str, int]
) -> None:
    written, data = write(tmp_path / "file", b"x|1|y\n" + copied + b"\nx|1|y\n")
    assert data == b"x|1|y\n" + cleaned + b"\nx|1|y\n"
    assert (written.rows, written.changed_values) == (3, changed)


@hypothesis.given(st.data())
def test_it_does_not_matter_how_the_copy_is_cut(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    rows = data.draw(
        st.lists(st.sampled_from([b"a|1|b\n", b"\\||1|\\\\\n", "á\x85|1|c\n".encode()]), max_size=5)
    )
    whole = b"".join(rows)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=4)))
    pieces = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    path = tmp_path_factory.mktemp("cut") / "file"
    assert write(path, *pieces) == write(path, whole)


@pytest.mark.parametrize("copied", [b"a|1\n", b"a|1|b|c\n", b"a|1|b", b"a|1|b\na|1\n"])
def test_a_row_with_other_columns_is_not_let_through(tmp_path: Path, copied: bytes) -> None:
    with pytest.raises(DamagedFileError, match="TEST"):
        write(tmp_path / "file", copied)


@hypothesis.given(st.text(st.characters(exclude_characters="\x00|\n\\", exclude_categories=("Cs",))))
def test_the_quick_look_sees_everything_that_is_replaced(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    breaking = {chr(code) for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)} | {'"'}
    _, data = write(tmp_path_factory.mktemp("text") / "file", f"{text}|1|c\n".encode())
    assert len(data.decode()) - len("|1|c\n") == len(text.replace("\x01", ""))
    assert not breaking.intersection(data.decode().removesuffix("\n"))


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SpoolError, match="File exists"):
        FeedFile(FEED, tmp_path / "file")
