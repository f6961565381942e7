"""How far confidences are from how often they are right; imports no torch.

A confidence is calibrated if of all words with confidence p the share p is right. The expected
calibration error is the mean distance between the two over bins, weighed by their sizes (Naeini
et al., Obtaining well calibrated probabilities using Bayesian binning, 2015).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rapidfuzz.distance import Levenshtein

BINS = 15


class Bin(NamedTuple):
    """Words of like confidence: how many, their mean confidence, and the share that is right."""

    words: int
    confidence: float
    accuracy: float


def right_words(reference: str, hypothesis: str) -> list[bool]:
    """For each word of ``hypothesis`` whether the alignment with fewest edits calls it right."""
    found = hypothesis.split()
    right = [False] * len(found)
    for step in Levenshtein.opcodes(reference.split(), found):
        if step.tag == "equal":
            right[step.dest_start : step.dest_end] = [True] * (step.dest_end - step.dest_start)
    return right


def bins(
    confidences: ArrayLike, right: ArrayLike, *, n_bins: int = BINS, adaptive: bool = False
) -> list[Bin]:
    """Bins that hold anything, by rising confidence.

    Args:
        confidences: (N,) in [0, 1].
        right: (N,) bool.
        n_bins: at most so many.
        adaptive: bins of equally many words instead of equal width; words of one confidence stay
            together. A bin of width 1 / n_bins takes its upper bound in, as in Guo et al. 2017.
    """
    values = np.asarray(confidences, dtype=np.float64)
    hits = np.asarray(right, dtype=np.float64)
    if not len(values):
        return []
    if adaptive:
        edges = np.quantile(values, np.arange(1, n_bins) / n_bins, method="inverted_cdf")
    else:
        edges = np.arange(1, n_bins) / n_bins
    members = np.searchsorted(edges, values, side="left")
    counts, sums, rights = (
        np.bincount(members, weights=weights, minlength=n_bins)
        for weights in (np.ones_like(values), values, hits)
    )
    return [
        Bin(int(counts[i]), float(sums[i] / counts[i]), float(rights[i] / counts[i]))
        for i in np.flatnonzero(counts)
    ]


def calibration_error(found: Sequence[Bin]) -> float:
    """The expected calibration error of ``found``, from 0 to 1; 0 without words."""
    total = sum(each.words for each in found)
    return sum(each.words * abs(each.confidence - each.accuracy) for each in found) / max(total, 1)


def negative_log_likelihood(confidences: ArrayLike, right: ArrayLike) -> float:
    """Nats a word, of what was right and wrong under (N,) ``confidences`` within (0, 1)."""
    values = np.asarray(confidences, dtype=np.float64)
    hits: NDArray[np.bool_] = np.asarray(right, dtype=bool)
    return float(-np.log(np.where(hits, values, 1 - values)).mean())
