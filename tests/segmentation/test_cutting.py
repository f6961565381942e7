"""Cuts: where they are, what is kept and why not."""

from __future__ import annotations

import numpy as np
import pytest

from deepspeech2.decoding.loose import LEFT_OUT, LooseAlignment
from deepspeech2.errors import ConfigError
from deepspeech2.extras.segmentation.cutting import (
    JOINED,
    NOTHING,
    UNREADABLE,
    Cutter,
    Limits,
    Segment,
)

SECONDS = 0.04
DEFAULT = Limits()


def cut(
    text: str,
    pauses: list[int],
    limits: Limits = DEFAULT,
    *,
    costs: dict[int, float] | None = None,
    strange: dict[int, float] | None = None,
    breaks: dict[int, int] | None = None,
    missing: tuple[int, ...] = (),
    loud: int | None = None,
) -> list[Segment]:
    """Segments of words of 10 frames with ``pauses`` of silent frames before, between and behind.

    ``strange`` is the price of what is heard in a pause, in its middle frame; words that are
    ``missing`` take no frames.
    """
    words = text.split()
    start, end, silent = [], [], []
    passed = [0.0]
    for number, pause in enumerate(pauses):
        quiet = [True] * pause
        prices = [0.0] * pause
        if strange and number in strange:
            quiet[pause // 2], prices[pause // 2] = False, strange[number]
        silent += quiet
        passed += [passed[-1] + price for price in np.cumsum(prices)]
        if number == len(words):
            break
        if number in missing:
            start.append(LEFT_OUT)
            end.append(LEFT_OUT)
            continue
        start.append(len(silent))
        silent += [False] * 10
        passed += [passed[-1]] * 10
        end.append(len(silent))
    levels = np.where(silent, -60.0, -20.0)
    if loud is not None:
        levels[loud] = -70.0
    cost = [np.inf if i in missing else (costs or {}).get(i, 0.1) for i in range(len(words))]
    found = LooseAlignment(
        tuple(words), np.array([len(word) for word in words]), np.array(start), np.array(end),
        np.array(cost), np.array(passed),
    )  # fmt: skip
    before = np.array([(breaks or {}).get(i, NOTHING) for i in range(len(words))], np.int8)
    return Cutter(found, np.array(silent), levels, before, SECONDS, limits).segments()


def ranges(segments: list[Segment]) -> list[tuple[int, int, str]]:
    return [(each.first, each.last, each.why) for each in segments]


FOUR = "aaaa bbbb cccc dddd"


def test_what_fits_is_one_segment_with_a_part_of_the_silence_around() -> None:
    (whole,) = cut(FOUR, [50, 9, 9, 9, 50])
    assert (whole.first, whole.last, whole.why) == (0, 4, "")
    assert 50 - 8 <= whole.start <= 50
    assert 117 <= whole.end <= 117 + 8
    assert whole.score == pytest.approx(-0.1)


def test_what_is_too_long_is_cut_at_the_longest_pause() -> None:
    found = cut(FOUR, [9, 9, 30, 9, 9], Limits(longest=2.0, shortest=0.4))
    assert ranges(found) == [(0, 2, ""), (2, 4, "")]
    found = cut(FOUR, [9, 30, 9, 9, 9], Limits(longest=3.0, shortest=0.2))
    assert ranges(found) == [(0, 1, ""), (1, 4, "")]


def test_a_cut_is_where_it_is_quietest() -> None:
    found = cut(FOUR, [9, 9, 12, 9, 9], Limits(longest=2.0, shortest=0.4), loud=9 + 10 + 9 + 10 + 4)
    assert found[0].end in (42, 43)
    assert found[0].end == found[1].start


def test_a_wrong_word_is_cut_out_even_where_the_pause_is_short() -> None:
    limits = Limits(shortest=0.4)
    found = cut("aa bb cc dd ee", [9, 2, 1, 1, 2, 9], limits, costs={2: 4.0})
    assert ranges(found) == [(0, 2, ""), (2, 3, "score"), (3, 5, "")]
    found = cut("aa bb cc dd ee", [9, 2, 0, 0, 2, 9], limits, costs={2: 2.9})
    assert ranges(found) == [(0, 5, "")]


def test_what_is_heard_between_two_words_divides_them() -> None:
    found = cut(FOUR, [9, 9, 20, 9, 9], Limits(shortest=0.4), strange={2: 6.0})
    assert ranges(found) == [(0, 2, ""), (2, 4, "")]
    assert found[0].end <= 47 <= found[1].start
    # without a pause beside it nothing can be kept of the two words
    found = cut("aa bb", [9, 1, 9], Limits(shortest=0.4), strange={1: 6.0})
    assert ranges(found) == [(0, 2, "speech that is not in the text")]


def test_words_that_are_not_said_divide_the_text() -> None:
    found = cut(FOUR, [9, 9, 0, 9, 9], Limits(shortest=0.4), missing=(1,))
    assert ranges(found) == [(0, 1, ""), (2, 4, "")]
    found = cut(FOUR, [9, 0, 0, 9, 9], Limits(shortest=0.4), missing=(1,))
    assert ranges(found) == [(0, 3, "words are not said"), (3, 4, "")]


def test_words_of_one_number_stay_together_and_unreadable_ones_divide() -> None:
    limits = Limits(longest=1.0, shortest=0.2)
    assert (0, 1, "") in ranges(cut("aa bb", [9, 20, 9], limits))
    assert ranges(cut("aa bb", [9, 20, 9], limits, breaks={1: JOINED})) == [(0, 2, "no pause")]
    found = cut("aa bb", [9, 20, 9], Limits(shortest=0.2), breaks={1: UNREADABLE})
    assert ranges(found) == [(0, 1, ""), (1, 2, "")]


def test_too_short_and_nothing() -> None:
    assert ranges(cut("aa", [9, 9])) == [(0, 1, "too short")]
    assert cut("aa", [9, 9], missing=(0,)) == []


def test_segments_do_not_overlap_and_are_within_limits() -> None:
    draw = np.random.default_rng(0)
    for _ in range(50):
        count = int(draw.integers(1, 60))
        pauses = draw.integers(1, 30, count + 1).tolist()
        costs = {int(i): 5.0 for i in draw.integers(0, count, count // 9)}
        limits = Limits(longest=5.0)
        found = cut(" ".join(["word"] * count), pauses, limits, costs=costs)
        reached = word = 0
        for each in found:
            assert each.start >= reached
            assert each.first >= word
            reached, word = each.end, each.last
            if not each.why:
                assert 1.0 <= (each.end - each.start) * SECONDS <= 5.0
                assert not {*range(each.first, each.last)} & costs.keys()
        assert word == count


@pytest.mark.parametrize(
    ("options", "message"),
    [({"shortest": 2.0, "longest": 1.0}, "2 to 1 s"), ({"pause": 0.0}, "--pause")],
)
def test_limits_that_make_no_sense(options: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Limits(**options)
