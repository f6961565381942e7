"""How far an error rate may be off by the choice of utterances: the bootstrap.

A corpus is drawn anew, with replacement, utterance by utterance, and scored each time (Bisani
and Ney, Bootstrap estimates for confidence intervals in ASR performance evaluation, 2004).
Systems that recognised the same utterances are scored on the same draws, so that the interval of
their difference is not widened by utterances that are hard for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepspeech2.metrics.edits import EditCounts

_DRAWS = (1_000, 10_000)  # of a bootstrap, at least and at most
_WORK = 5_000_000  # drawn utterances altogether that take about a second
_CHUNK = 2_000_000  # drawn utterances at a time: memory stays small for a large corpus


@dataclass(frozen=True, slots=True)
class Interval:
    """A rate with the limits between which 95 % of the draws are; all are fractions."""

    value: float
    low: float
    high: float


def resampled_rates(
    errors: NDArray[np.int64],
    words: NDArray[np.int64],
    *,
    n_draws: int | None = 10_000,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Return the error rates of corpora drawn anew.

    Args:
        errors, words: (C, U) of C systems or conditions over the same U utterances, at least 1.
        n_draws: how many corpora; None: as many as take about a second.

    Returns:
        (C, n_draws) float64; a corpus without words counts as of one word.
    """
    n_utterances = errors.shape[1]
    assert n_utterances > 0
    if n_draws is None:
        n_draws = int(np.clip(_WORK // n_utterances, *_DRAWS))
    rng = np.random.default_rng(seed)
    at_a_time = max(1, _CHUNK // n_utterances)
    rates = []
    for start in range(0, n_draws, at_a_time):
        size = min(at_a_time, n_draws - start)
        drawn = rng.integers(n_utterances, size=(size, n_utterances))
        drawn += n_utterances * np.arange(size)[:, None]  # so that one count serves all draws
        times = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape).T
        rates.append((errors @ times) / np.maximum(words @ times, 1))
    return np.concatenate(rates, axis=1)


def interval(value: float, draws: NDArray[np.float64]) -> Interval:
    """Return the 95 % percentile interval around ``value`` from draws (n,)."""
    low, high = np.percentile(draws, (2.5, 97.5))
    return Interval(value, float(low), float(high))


def bootstrap(
    *counts: Sequence[EditCounts],
    groups: Sequence[Any] | None = None,
    n_draws: int | None = None,
) -> list[Interval]:
    """Return the rates of a corpus with their intervals.

    Args:
        counts: (U) of each utterance, for each rate; all rates share their draws.
        groups: (U) who speaks, to draw speakers, with all they say, in place of utterances.
        n_draws: see :func:`resampled_rates`.
    """
    errors = np.array([[each.errors for each in own] for own in counts], np.int64)
    lengths = np.array([[each.reference for each in own] for own in counts], np.int64)
    if groups is not None:
        numbers = np.unique([str(group) for group in groups], return_inverse=True)[1]
        errors = np.array([np.bincount(numbers, own) for own in errors]).astype(np.int64)
        lengths = np.array([np.bincount(numbers, own) for own in lengths]).astype(np.int64)
    draws = resampled_rates(errors, lengths, n_draws=n_draws)
    rates = errors.sum(1) / np.maximum(lengths.sum(1), 1)
    return [interval(float(rate), own) for rate, own in zip(rates, draws, strict=True)]
