"""Two systems that heard the same utterances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deepspeech2.errors import ManifestError
from deepspeech2.metrics.analysis import Row
from deepspeech2.metrics.interval import Interval, interval, resampled_rates
from deepspeech2.metrics.significance import PairedTest, paired_test


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
    n_draws = int(np.clip(5_000_000 // len(pairs), 1_000, 10_000))
    draws = resampled_rates(errors, words, n_draws=n_draws)
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
