"""How far an error rate may be off by the choice of utterances: the bootstrap.

A corpus is drawn anew, with replacement, utterance by utterance, and scored each time (Bisani
and Ney, Bootstrap estimates for confidence intervals in ASR performance evaluation, 2004).
Systems that heard the same utterances are scored on the same draws, so that the interval of
their difference is not widened by utterances that are hard for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_CHUNK = 2_000_000  # drawn utterances at a time: memory stays small for a large corpus


@dataclass(frozen=True, slots=True)
class Interval:
    """A rate with the bounds between which 95 % of the draws lie; all are fractions."""

    value: float
    low: float
    high: float


def resampled_rates(
    errors: NDArray[np.int64], words: NDArray[np.int64], *, n_draws: int = 10_000, seed: int = 0
) -> NDArray[np.float64]:
    """Error rates of corpora drawn anew.

    Args:
        errors, words: (C, U) of C systems or conditions over the same U utterances, at least 1.

    Returns:
        (C, n_draws) float64; a corpus without words counts as of one word.
    """
    n_utterances = errors.shape[1]
    assert n_utterances > 0
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
    """The 95 % percentile interval around ``value`` from draws (n,)."""
    low, high = np.percentile(draws, (2.5, 97.5))
    return Interval(value, float(low), float(high))
