"""Confidence against correctness.

Guo et al. 2017, "On Calibration of Modern Neural Networks", section 2: words are sorted into bins
by their confidence, and the expected calibration error is the mean distance between a bin's
confidence and the share of its words that are right, weighed by their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from src.metrics.alignment import align
from src.metrics.analysis import Row

_BINS = 10


def judged(rows: Sequence[Row]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Confidence (N,) of every word that was heard, and whether it is right (N,).

    A word that was put in is wrong. Utterances whose words do not carry confidences, or are not
    those of the normalised hypothesis, are left out.
    """
    confidences: list[float] = []
    right: list[bool] = []
    for row in rows:
        words = row.fields.get("words")
        heard = row.hypothesis.split()
        if not isinstance(words, list) or len(words) != len(heard):
            continue
        given = [_confidence(word) for word in words]
        if None in given:
            continue
        steps = align(row.reference.split(), heard)
        confidences += [each for each in given if each is not None]
        right += [step.kind == "equal" for step in steps if step.hypothesis is not None]
    return np.array(confidences, np.float64), np.array(right, np.bool_)


def _confidence(word: object) -> float | None:
    value = word.get("confidence") if isinstance(word, dict) else None
    return float(value) if isinstance(value, int | float) else None


def calibration_error(confidences: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """The expected calibration error over ten bins of equal width; 0 without words."""
    bins = _bins(confidences, right)
    total = sum(count for _, _, count in bins)
    return sum(abs(mean - share) * count for mean, share, count in bins) / max(total, 1)


def reliability(rows: Sequence[Row]) -> dict[str, Any] | None:
    """Bins of (mean confidence, share that is right, words) and the error; None without words."""
    confidences, right = judged(rows)
    if not len(confidences):
        return None
    return {
        "bins": [[round(m, 4), round(s, 4), n] for m, s, n in _bins(confidences, right)],
        "error": calibration_error(confidences, right),
        "words": len(confidences),
    }


def _bins(
    confidences: NDArray[np.float64], right: NDArray[np.bool_]
) -> list[tuple[float, float, int]]:
    places = np.minimum((confidences * _BINS).astype(int), _BINS - 1)
    return [
        (float(confidences[own].mean()), float(right[own].mean()), int(own.sum()))
        for own in (places == number for number in range(_BINS))
        if own.any()
    ]
