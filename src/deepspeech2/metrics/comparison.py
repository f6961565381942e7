"""Two systems that recognised the same utterances, and whether they differ by more than chance.

The matched-pairs permutation test: had both systems the same quality, then in each utterance it
would be a toss which of them made which number of errors. The statistic is the difference of all
errors, and its distribution over all tosses is computed exactly, utterance by utterance, as long
as that takes about a second, and drawn otherwise (Noreen, Computer-Intensive Methods for Testing
Hypotheses, 1989; Gillick and Cox, ICASSP 1989, for pairing by segments).
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepspeech2.errors import ManifestError
from deepspeech2.metrics.analysis import Row
from deepspeech2.metrics.interval import Interval, interval, resampled_rates

_EXACT = 200_000_000  # additions that are done at most
_DRAWS = 100_000
_LEAST = sys.float_info.min  # to which exact values are rounded up: none is 0


@dataclass(frozen=True, slots=True)
class PairedTest:
    """What a permutation test found.

    Attributes:
        difference: errors of the second system less those of the first.
        p_value: how likely a difference at least that far from 0 is by chance, two-sided; above 0.
        exact: whether all tosses were counted.
        better, worse: utterances in which the second made fewer, or more, errors.
    """

    difference: int
    p_value: float
    exact: bool
    better: int
    worse: int

    @property
    def shown(self) -> str:
        """``= 0.0123``, or ``<`` and the smallest p-value that the test can give."""
        if not self.exact and self.p_value < 1 / _DRAWS:
            return f"< {1 / _DRAWS:.0e}"
        return "< 1e-300" if self.p_value <= _LEAST else f"= {self.p_value:.3g}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """The second system beside the first, on the utterances of both.

    Attributes:
        utterances, words: how much was compared.
        first, second: word error rates.
        difference: the second's less the first's, with its 95 % interval.
        test: whether that may be chance.
        alone: names that only one of them has.
    """

    utterances: int
    words: int
    first: float
    second: float
    difference: Interval
    test: PairedTest
    alone: list[str]


def compare(first: Sequence[Row], second: Sequence[Row]) -> Comparison:
    """Compare two systems utterance by utterance.

    Raises:
        ManifestError: they have no utterance in common, or one has other references there.
    """
    others = {row.name: row for row in second}
    pairs = [(row, others[row.name]) for row in first if row.name in others]
    if not pairs:
        raise ManifestError("the two have no utterance in common: names must be alike")
    for ours, theirs in pairs:
        if ours.reference != theirs.reference:
            raise ManifestError(
                f"{ours.name} has two references, {ours.reference!r} and {theirs.reference!r}:"
                " only predictions for the same text can be compared"
            )
    errors = np.array([[ours.words.errors, theirs.words.errors] for ours, theirs in pairs]).T
    words = np.array([[row.words.reference for row, _ in pairs]] * 2)
    draws = resampled_rates(errors, words, n_draws=None)
    rates = errors.sum(1) / max(int(words[0].sum()), 1)
    names = {row.name for row in first}
    return Comparison(
        len(pairs),
        int(words[0].sum()),
        float(rates[0]),
        float(rates[1]),
        interval(float(rates[1] - rates[0]), draws[1] - draws[0]),
        paired_test(errors[0], errors[1]),
        sorted(names.symmetric_difference(others)),
    )


def paired_test(
    first: NDArray[np.int64], second: NDArray[np.int64], *, seed: int = 0
) -> PairedTest:
    """Compare the errors (U,) of two systems in the same utterances."""
    differences = np.asarray(second, np.int64) - np.asarray(first, np.int64)
    total = int(differences.sum())
    sizes = Counter(np.abs(differences[differences != 0]).tolist())
    reach = sum(size * count for size, count in sizes.items())
    exact = reach * max(1, sum(sizes.values())) <= _EXACT
    p_value = _counted(sizes, reach, total) if exact else _drawn(sizes, total, seed)
    better, worse = int((differences < 0).sum()), int((differences > 0).sum())
    return PairedTest(total, p_value, exact, better, worse)


def _counted(sizes: Counter[int], reach: int, total: int) -> float:
    """The p-value from the distribution of the sum of all +-size, from -reach to reach."""
    shares = np.zeros(2 * reach + 1)
    shares[reach] = 1.0
    for size, count in sizes.items():
        for _ in range(count):
            moved = np.zeros_like(shares)
            moved[size:] += 0.5 * shares[: len(shares) - size]
            moved[: len(shares) - size] += 0.5 * shares[size:]
            shares = moved
    sums = np.arange(-reach, reach + 1)
    return float(np.clip(shares[np.abs(sums) >= abs(total)].sum(), _LEAST, 1.0))


def _drawn(sizes: Counter[int], total: int, seed: int) -> float:
    """The p-value from sums that are drawn; the observed one counts as one of them."""
    draw = np.random.default_rng(seed)
    sums = np.zeros(_DRAWS, np.int64)
    for size, count in sizes.items():
        sums += size * (2 * draw.binomial(count, 0.5, _DRAWS) - count)
    return float((1 + (np.abs(sums) >= abs(total)).sum()) / (1 + _DRAWS))
