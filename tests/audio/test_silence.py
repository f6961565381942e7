"""Cuts against all plans that there are, and levels against the samples at once."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from deepspeech2.audio.silence import Levels, Span, cut, plan
from deepspeech2.errors import ConfigError

RATE = 16000
LEVELS = arrays(np.float64, st.integers(1, 9), elements=st.floats(-80, 0, width=32))


def price(levels: np.ndarray, spans: list[Span], window: int) -> float:
    """What the cuts of a plan cost, from the definition."""
    above = np.maximum(levels - np.percentile(levels, 5), 0)
    total = 0.0
    for span in spans[1:]:
        first = max(0, span.start - window // 2)
        total += above[first : first + window].mean() + 6.0
    return total


def covering(count: int, longest: int) -> list[list[Span]]:
    plans = []
    for marks in product((False, True), repeat=count - 1):
        ends = [0, *(i + 1 for i, marked in enumerate(marks) if marked), count]
        spans = [Span(a, b) for a, b in pairwise(ends)]
        if all(span.end - span.start <= longest for span in spans):
            plans.append(spans)
    return plans


@settings(max_examples=150)
@given(levels=LEVELS, longest=st.integers(1, 10), window=st.integers(1, 4))
def test_no_plan_is_cheaper(levels: np.ndarray, longest: int, window: int) -> None:
    spans = plan(levels, longest, window=window)
    assert spans in covering(len(levels), longest)
    best = min(price(levels, each, window) for each in covering(len(levels), longest))
    assert price(levels, spans, window) == pytest.approx(best)


@settings(max_examples=100)
@given(levels=LEVELS, longest=st.integers(1, 10), data=st.data())
def test_forbidden_places_are_used_only_when_there_is_no_other(
    levels: np.ndarray, longest: int, data: st.DataObject
) -> None:
    forbidden = data.draw(arrays(np.bool_, len(levels)))

    def broken(spans: list[Span]) -> int:
        return sum(bool(forbidden[span.start]) for span in spans[1:])

    spans = plan(levels, longest, window=2, forbidden=forbidden)
    assert broken(spans) == min(broken(each) for each in covering(len(levels), longest))


def test_cuts_fall_into_the_pauses() -> None:
    draw = np.random.default_rng(0)
    speech = [0.1 * draw.standard_normal(round(seconds * RATE)) for seconds in (7, 5, 9, 6)]
    pause = 0.001 * draw.standard_normal(RATE // 2)
    recording = np.concatenate([piece for each in speech for piece in (each, pause)])
    levels = Levels(RATE)
    spans = cut(np.array_split(recording.astype(np.float32), 23), levels, 10.0)
    seconds = [span.start * levels.step / RATE for span in spans[1:]]
    pauses = [(7.0, 7.5), (12.5, 13.0), (22.0, 22.5)]
    assert len(seconds) == len(pauses)
    for moment, (start, end) in zip(seconds, pauses, strict=True):
        assert start < moment < end
    assert spans[-1].end == -(-len(recording) // levels.step)


def test_silence_alone_is_cut_as_little_as_possible() -> None:
    levels = Levels(RATE)
    spans = cut([np.zeros(RATE * 95, np.float32)], levels, 30.0)
    assert len(spans) == 4
    assert max(span.end - span.start for span in spans) * levels.step <= 30 * RATE


@pytest.mark.parametrize("sizes", [[1000], [1, 639, 640, 720], [7] * 200])
def test_levels_do_not_depend_on_the_blocks(sizes: list[int]) -> None:
    samples = np.random.default_rng(1).standard_normal(sum(sizes)).astype(np.float32)
    levels = Levels(RATE, 100)
    for part in np.split(samples, np.cumsum(sizes)[:-1]):
        levels.add(part)
    steps = [samples[i : i + 100].astype(np.float64) for i in range(0, len(samples), 100)]
    expected = [10 * np.log10(np.mean(step**2)) for step in steps]
    np.testing.assert_allclose(levels.decibels(), expected, rtol=1e-4)
    assert levels.n_samples == len(samples)


def test_nothing_is_cut_into_nothing() -> None:
    assert plan(np.zeros(0), 5, window=1) == []
    assert len(Levels(RATE).decibels()) == 0


def test_absurd_values_are_refused() -> None:
    with pytest.raises(ConfigError):
        plan(np.zeros(3), 0, window=1)
    with pytest.raises(ConfigError):
        Levels(RATE, 0)
