"""Calibration errors against plain loops, and alignment against jiwer."""

from __future__ import annotations

import math

import jiwer
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepspeech2.metrics.calibration import (
    bins,
    calibration_error,
    negative_log_likelihood,
    right_words,
)

WORDS = st.lists(st.sampled_from(["a", "b", "c"]), max_size=8).map(" ".join)


def plain_error(confidences: list[float], right: list[bool], n_bins: int) -> float:
    """Guo et al. 2017, equation 3, word by word."""
    total = 0.0
    for index in range(n_bins):
        low, high = index / n_bins, (index + 1) / n_bins
        inside = [
            (p, r)
            for p, r in zip(confidences, right, strict=True)
            if low < p <= high or (index == 0 and p == 0)
        ]
        if inside:
            told = sum(p for p, _ in inside) / len(inside)
            hits = sum(r for _, r in inside) / len(inside)
            total += len(inside) / len(confidences) * abs(told - hits)
    return total


@pytest.mark.parametrize("n_bins", [1, 10, 15])
def test_equal_width_is_the_plain_sum(n_bins: int) -> None:
    draw = np.random.default_rng(n_bins)
    confidences = [*draw.uniform(size=500).tolist(), 0.0, 1.0, 1.0]
    right = (draw.uniform(size=503) < 0.4).tolist()
    found = bins(confidences, right, n_bins=n_bins)
    assert sum(each.words for each in found) == 503
    assert calibration_error(found) == pytest.approx(plain_error(confidences, right, n_bins))


def test_adaptive_bins_hold_equally_many_and_ties_stay_together() -> None:
    draw = np.random.default_rng(0)
    confidences = draw.uniform(size=300) ** 4
    right = draw.uniform(size=300) < 0.5
    found = bins(confidences, right, adaptive=True)
    assert [each.words for each in found] == [20] * 15
    ordered = np.argsort(confidences)
    groups = ordered.reshape(15, 20)
    expected = np.mean([abs(confidences[g].mean() - right[g].mean()) for g in groups])
    assert calibration_error(found) == pytest.approx(expected)
    tied = bins([0.9] * 40 + [0.1] * 5, [True] * 40 + [False] * 5, adaptive=True)
    assert [each.words for each in tied] == [5, 40]


def test_nothing_and_certainty() -> None:
    assert calibration_error(bins([], [])) == 0
    assert calibration_error(bins([1.0, 0.0], [True, False])) == 0
    assert calibration_error(bins([1.0, 0.0], [False, True])) == 1
    assert negative_log_likelihood([0.8, 0.4], [True, False]) == pytest.approx(
        -(math.log(0.8) + math.log(0.6)) / 2
    )


@settings(max_examples=200)
@given(reference=WORDS.filter(bool), hypothesis=WORDS)
def test_right_words_are_the_hits_of_jiwer(reference: str, hypothesis: str) -> None:
    right = right_words(reference, hypothesis)
    assert len(right) == len(hypothesis.split())
    assert sum(right) == jiwer.process_words(reference, hypothesis).hits
    kept = [word for word, hit in zip(hypothesis.split(), right, strict=True) if hit]
    words = iter(reference.split())
    assert all(word in words for word in kept)  # a subsequence, in order
