"""How far confidences are from how often they are right; imports no torch.

A confidence is calibrated if of all words with confidence p the share p is right. The expected
calibration error is the mean distance between the two over bins, weighed by their sizes (Naeini
et al., Obtaining well calibrated probabilities using Bayesian binning, 2015).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rapidfuzz.distance import Levenshtein

from deepspeech2.metrics.analysis import Row

BINS = 15


class Bin(NamedTuple):
    """Words of like confidence: how many, their mean confidence, and the share that is right."""

    words: int
    confidence: float
    accuracy: float


class JudgedWords(NamedTuple):
    """Recognised words.

    Attributes:
        confidences: (N,) of each.
        right: (N,) whether it is; an inserted word is not.
        left_out: utterances with words whose confidences are not known.
    """

    confidences: NDArray[np.float64]
    right: NDArray[np.bool_]
    left_out: int


def right_words(reference: str, hypothesis: str) -> list[bool]:
    """For each word of ``hypothesis`` whether the alignment with fewest edits calls it right."""
    words = hypothesis.split()
    right = [False] * len(words)
    for step in Levenshtein.opcodes(reference.split(), words):
        if step.tag == "equal":
            right[step.dest_start : step.dest_end] = [True] * (step.dest_end - step.dest_start)
    return right


def bins(
    confidences: ArrayLike, right: ArrayLike, *, n_bins: int = BINS, adaptive: bool = False
) -> list[Bin]:
    """Return the bins that are not empty, by rising confidence.

    Args:
        confidences: (N,) in [0, 1].
        right: (N,) bool.
        n_bins: how many at most.
        adaptive: bins of equally many words instead of equal width; words of one confidence stay
            together. A bin of width 1 / n_bins includes its upper limit, as in Guo et al. 2017.
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
    """Return the expected calibration error of some bins, from 0 to 1; 0 without words."""
    total = sum(each.words for each in found)
    return sum(each.words * abs(each.confidence - each.accuracy) for each in found) / max(total, 1)


def negative_log_likelihood(confidences: ArrayLike, right: ArrayLike) -> float:
    """Nats a word, of what was right and wrong under (N,) ``confidences`` within (0, 1)."""
    values = np.asarray(confidences, dtype=np.float64)
    hits: NDArray[np.bool_] = np.asarray(right, dtype=bool)
    return float(-np.log(np.where(hits, values, 1 - values)).mean())


def judged(rows: Sequence[Row]) -> JudgedWords:
    """Return the words of all utterances in which every word has a confidence.

    The words must be those of the normalised hypothesis.
    """
    confidences: list[float] = []
    right: list[bool] = []
    left_out = 0
    for row in rows:
        own = _confidences(row)
        if own is not None:
            confidences += own
            right += right_words(row.reference, row.hypothesis)
        else:
            left_out += bool(row.hypothesis.strip())
    return JudgedWords(np.array(confidences, np.float64), np.array(right, np.bool_), left_out)


def _confidences(row: Row) -> list[float] | None:
    """The confidence of every word of the hypothesis; None unless all are known."""
    words = row.fields.get("words")
    if not isinstance(words, list) or len(words) != len(row.hypothesis.split()):
        return None
    given = [word.get("confidence") if isinstance(word, dict) else None for word in words]
    known = [float(each) for each in given if isinstance(each, (float, int)) and 0 <= each <= 1]
    return known if len(known) == len(given) else None


def reliability(rows: Sequence[Row]) -> dict[str, Any] | None:
    """Bins of (mean confidence, share that is right, words) and the error; None without words."""
    confidences, right, left_out = judged(rows)
    if not len(confidences):
        return None
    found = bins(confidences, right)
    return {
        "bins": [[round(m, 4), round(share, 4), count] for count, m, share in found],
        "error": calibration_error(found),
        "words": len(confidences),
        "left_out": left_out,
    }
