"""Confidence against correctness in what was read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepspeech2.metrics.analysis import Row
from deepspeech2.metrics.calibration import bins, calibration_error, right_words


class Judged(NamedTuple):
    """Words that were heard.

    Attributes:
        confidences: (N,) of each.
        right: (N,) whether it is; a word that was put in is not.
        left_out: utterances with words whose confidences are not known.
    """

    confidences: NDArray[np.float64]
    right: NDArray[np.bool_]
    left_out: int


def judged(rows: Sequence[Row]) -> Judged:
    """The words of all utterances, but of those where not every word carries a confidence.

    The words must be those of the normalised hypothesis.
    """
    confidences: list[float] = []
    right: list[bool] = []
    left_out = 0
    for row in rows:
        told = _told(row)
        if told is not None:
            confidences += told
            right += right_words(row.reference, row.hypothesis)
        else:
            left_out += bool(row.hypothesis.strip())
    return Judged(np.array(confidences, np.float64), np.array(right, np.bool_), left_out)


def _told(row: Row) -> list[float] | None:
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
