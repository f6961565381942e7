"""The permutation test against every toss there is, and intervals against scipy's."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from deepspeech2.metrics import comparison
from deepspeech2.metrics.analysis import Row
from deepspeech2.metrics.comparison import compare, paired_test
from deepspeech2.metrics.edits import EditCounts
from deepspeech2.metrics.interval import bootstrap

COUNTS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=9)


@settings(max_examples=150)
@given(pairs=COUNTS)
def test_equals_all_tosses(pairs: list[tuple[int, int]]) -> None:
    first, second = np.array(pairs).T
    differences = second - first
    sums = [
        sum(sign * d for sign, d in zip(signs, differences, strict=True))
        for signs in product((1, -1), repeat=len(differences))
    ]
    found = paired_test(first, second)
    assert found.exact
    assert found.difference == differences.sum()
    assert found.p_value == pytest.approx(np.mean(np.abs(sums) >= abs(differences.sum())))
    assert (found.better, found.worse) == ((differences < 0).sum(), (differences > 0).sum())


def test_equals_scipys_permutation_test() -> None:
    draw = np.random.default_rng(0)
    first, second = draw.poisson(2.0, 12), draw.poisson(2.6, 12)
    theirs = scipy.stats.permutation_test(
        (first, second),
        lambda a, b, axis: np.sum(b - a, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=np.inf,
    )
    assert paired_test(first, second).p_value == pytest.approx(theirs.pvalue)


def test_tosses_that_are_drawn_are_near(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(1)
    first, second = draw.poisson(2.0, 500), draw.poisson(2.2, 500)
    exact = paired_test(first, second)
    monkeypatch.setattr(comparison, "_EXACT", 0)
    drawn = paired_test(first, second)
    assert exact.exact
    assert not drawn.exact
    assert drawn.p_value == pytest.approx(exact.p_value, abs=0.005)
    assert drawn == paired_test(first, second)  # the same draws each time


def test_systems_that_are_alike() -> None:
    errors = np.array([1, 0, 3])
    assert paired_test(errors, errors).p_value == 1.0


def test_interval_equals_scipys_bootstrap() -> None:
    draw = np.random.default_rng(2)
    errors, words = draw.poisson(2.0, 300), draw.integers(3, 30, 300)
    counts = [EditCounts(int(e), 0, 0, int(n)) for e, n in zip(errors, words, strict=True)]
    (ours,) = bootstrap(counts)
    theirs = scipy.stats.bootstrap(
        (errors, words),
        lambda e, n, axis: np.sum(e, axis=axis) / np.sum(n, axis=axis),
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=10_000,
        rng=np.random.default_rng(3),
    ).confidence_interval
    assert ours.value == pytest.approx(errors.sum() / words.sum())
    assert ours.low == pytest.approx(theirs.low, abs=0.001)
    assert ours.high == pytest.approx(theirs.high, abs=0.001)


def test_interval_of_a_difference_equals_scipys_bootstrap() -> None:
    draw = np.random.default_rng(4)
    words = draw.integers(3, 30, 200)
    errors = np.array([draw.binomial(words, 0.3), draw.binomial(words, 0.25)])
    systems = [
        [
            Row(str(n), "", "", EditCounts(int(e), 0, 0, int(w)), EditCounts(), {})
            for n, (e, w) in enumerate(zip(own, words, strict=True))
        ]
        for own in errors
    ]
    ours = compare(*systems)
    theirs = scipy.stats.bootstrap(
        (*errors, words),
        lambda a, b, n, axis: (np.sum(b, axis=axis) - np.sum(a, axis=axis)) / np.sum(n, axis=axis),
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=10_000,
        rng=np.random.default_rng(5),
    ).confidence_interval
    assert ours.difference.value == pytest.approx((errors[1] - errors[0]).sum() / words.sum())
    assert ours.difference.low == pytest.approx(theirs.low, abs=0.001)
    assert ours.difference.high == pytest.approx(theirs.high, abs=0.001)


def test_speakers_are_drawn_whole() -> None:
    counts = [EditCounts(int(place < 50), 0, 0, 1) for place in range(100)]
    groups = ["bad"] * 50 + ["good"] * 50
    assert bootstrap(counts, groups=groups)[0].low == 0.0
    assert bootstrap(counts, groups=groups)[0].high == 1.0
    assert bootstrap(counts)[0].low > 0.3


def test_no_p_value_is_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = np.full(1200, 1), np.zeros(1200, np.int64)
    exact = paired_test(first, second)  # 2 of 2^1200 tosses: less than any float
    assert exact.exact
    assert exact.p_value > 0
    assert exact.shown == "< 1e-300"
    assert paired_test(first[:22], second[:22]).shown == "= 4.77e-07"
    monkeypatch.setattr(comparison, "_EXACT", 0)
    drawn = paired_test(first, second)
    assert not drawn.exact
    assert 0 < drawn.p_value < 1e-5
    assert drawn.shown == "< 1e-05"
    assert paired_test(first[:3], second[:3]).shown.startswith("= 0.2")
