"""A short run of chaos, and the judge itself."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.chaos.__main__ import main
from tests.chaos.judge import Found, judge


@pytest.mark.xdist_group("chaos")
def test_kills_and_crashes_lose_and_double_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["--kills", "4", "--restarts", "1"])
    said = capsys.readouterr().out
    assert status == 0, said
    last = re.fullmatch(
        r"kills=4 messages=(\d+) sent=(\d+) duplicates=0 lost=0 unknown=\d+", said.splitlines()[-1]
    )
    assert last, said
    messages, sent = map(int, last.groups())
    assert messages >= sent > 50, said


SOUND = {
    1: ("sent", "accepted"),
    2: ("sent", "accepted"),
    3: ("unknown", "interrupted"),
    4: ("expired", None),
}


def found(
    messages: dict[int, tuple[str, str | None]],
    interrupted: dict[int, int] | None = None,
    maybe_sent: int = 0,
    open_attempts: int = 0,
) -> Found:
    return Found(messages, {7: 1} if interrupted is None else interrupted, maybe_sent, open_attempts)


def test_a_sound_queue_is_found_sound() -> None:
    verdict = judge([1, 2, 3, 4], Counter([1, 2, 3]), found(SOUND), killed={7}, share=8)
    assert str(verdict) == "kills=1 messages=4 sent=2 duplicates=0 lost=0 unknown=1"
    assert verdict.problems == ()


@pytest.mark.parametrize(
    ("written", "accepted", "queue", "duplicates", "lost"),
    [
        pytest.param([1, 2, 3, 4], [1, 2, 2, 2, 3], found(SOUND), 2, 0, id="accepted three times"),
        pytest.param([1, 2, 3, 4, 5], [1, 2], found(SOUND), 0, 1, id="gone"),
        pytest.param([1, 2, 3, 4], [1], found(SOUND), 0, 1, id="sent but not accepted"),
        pytest.param([1, 2, 3, 4], [1, 2, 4], found(SOUND), 0, 1, id="accepted but expired"),
        pytest.param([1], [1], found({1: ("waiting", None)}), 0, 1, id="accepted but waiting"),
        pytest.param([1], [], found({1: ("held", None)}), 0, 1, id="never sent"),
        pytest.param([1, 2, 3, 4], [1, 2], found(SOUND, {7: 9}), 0, 0, id="unknown beyond one kill"),
        pytest.param([1, 2, 3, 4], [1, 2], found(SOUND, {8: 1}), 0, 0, id="unknown without a kill"),
        pytest.param([1, 2, 3, 4], [1, 2], found(SOUND, {}), 0, 0, id="unknown without an attempt"),
        pytest.param([1], [], found({1: ("unknown", "maybe_sent")}), 0, 0, id="unknown without a fault"),
        pytest.param([1, 2, 3, 4], [1, 2], found(SOUND, open_attempts=1), 0, 0, id="an attempt left open"),
    ],
)
def test_whatever_must_not_be_is_found(
    written: list[int], accepted: list[int], queue: Found, duplicates: int, lost: int
) -> None:
    verdict = judge(written, Counter(accepted), queue, killed={7}, share=8)
    assert (verdict.duplicates, verdict.lost) == (duplicates, lost)
    assert verdict.problems
