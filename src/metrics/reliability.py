"""Confidence against correctness in what was read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from src.metrics.analysis import Row
from src.metrics.calibration import bins, calibration_error, right_words


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
        confidences += [each for each in given if each is not None]
        right += right_words(row.reference, row.hypothesis)
    return np.array(confidences, np.float64), np.array(right, np.bool_)


def _confidence(word: object) -> float | None:
    value = word.get("confidence") if isinstance(word, dict) else None
    return float(value) if isinstance(value, int | float) else None


def reliability(rows: Sequence[Row]) -> dict[str, Any] | None:
    """Bins of (mean confidence, share that is right, words) and the error; None without words."""
    confidences, right = judged(rows)
    if not len(confidences):
        return None
    found = bins(confidences, right)
    return {
        "bins": [[round(m, 4), round(share, 4), count] for count, m, share in found],
        "error": calibration_error(found),
        "words": len(confidences),
    }
