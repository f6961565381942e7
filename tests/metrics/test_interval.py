"""Intervals against the normal approximation, where that is known to hold."""

from __future__ import annotations

import numpy as np
import pytest

from deepspeech2.metrics.interval import interval, resampled_rates


def test_interval_of_words_that_are_right_or_wrong() -> None:
    errors = (np.arange(1000) < 300).astype(np.int64)[None]
    draws = resampled_rates(errors, np.ones_like(errors))
    found = interval(0.3, draws[0])
    half = 1.96 * np.sqrt(0.3 * 0.7 / 1000)
    assert found.low == pytest.approx(0.3 - half, abs=0.002)
    assert found.high == pytest.approx(0.3 + half, abs=0.002)


def test_long_utterances_weigh_more() -> None:
    # Rate of sums, not mean of rates: 1 of 1 word and 0 of 99 words are wrong.
    errors, words = np.array([[1, 0]]), np.array([[1, 99]])
    draws = resampled_rates(errors, words)
    assert set(np.round(draws[0], 6)) == {0.0, 0.01, 1.0}


def test_systems_share_their_draws() -> None:
    random = np.random.default_rng(1)
    words = np.full((2, 200), 10)
    errors = np.tile(random.integers(0, 9, 200), (2, 1))
    errors[1] += 1  # one more in each utterance
    draws = resampled_rates(errors, words)
    np.testing.assert_allclose(draws[1] - draws[0], 0.1)
    assert np.ptp(draws[0]) > 0.05


def test_draws_depend_on_the_seed_alone() -> None:
    errors, words = np.arange(6)[None], np.full((1, 6), 7)
    first, second, other = (resampled_rates(errors, words, seed=seed) for seed in (1, 1, 2))
    assert first.shape == (1, 10_000)
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)
    assert resampled_rates(errors, words, n_draws=1500).shape == (1, 1500)


def test_memory_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draws that are made few at a time are those that are made at once."""
    errors, words = np.arange(6)[None], np.full((1, 6), 7)
    whole = resampled_rates(errors, words, n_draws=100)
    monkeypatch.setattr("deepspeech2.metrics.interval._CHUNK", 7 * 6)
    np.testing.assert_array_equal(resampled_rates(errors, words, n_draws=100), whole)


def test_one_utterance_and_no_words() -> None:
    draws = resampled_rates(np.array([[2], [0]]), np.array([[4], [0]]), n_draws=10)
    assert set(draws[0]) == {0.5}
    assert set(draws[1]) == {0.0}
