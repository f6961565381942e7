"""Words with times and confidences out of a hypothesis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from deepspeech2.text import TextEncoder
from deepspeech2.types import Hypothesis


@dataclass(frozen=True, slots=True)
class Word:
    """A word; ``start`` and ``end`` in seconds, ``confidence`` in [0, 1]."""

    word: str
    start: float
    end: float
    confidence: float


def words(
    hypothesis: Hypothesis, seconds_per_frame: float, *, text_encoder: TextEncoder
) -> tuple[Word, ...]:
    """Split a hypothesis at its spaces.

    A word starts at the frame of its first label and ends one frame after that of its last. Its
    confidence is the geometric mean over its labels.

    Args:
        hypothesis: with a frame and a confidence for every label, as decoders make it.
        seconds_per_frame: duration of an output frame of the network.
        text_encoder: knows the characters.

    Raises:
        ValueError: frames or confidences are not as many as labels.
    """
    found = []
    # strict: a hypothesis whose parts differ in length is a ValueError, not a shorter one.
    emissions = zip(hypothesis.labels, hypothesis.frames, hypothesis.confidences, strict=True)
    for is_space, group in groupby(emissions, key=lambda item: item[0] == text_encoder.space):
        if is_space:
            continue
        labels, frames, confidences = zip(*group, strict=True)
        found.append(
            Word(
                text_encoder.decode(labels),
                frames[0] * seconds_per_frame,
                (frames[-1] + 1) * seconds_per_frame,
                _geometric_mean(confidences),
            )
        )
    return tuple(found)


def utterance_confidence(hypothesis: Hypothesis) -> float:
    """Geometric mean over all labels; 0 for an empty hypothesis, of which nothing is known."""
    return _geometric_mean(hypothesis.confidences) if hypothesis.confidences else 0.0


def _geometric_mean(values: Sequence[float]) -> float:
    if min(values) <= 0.0:
        return 0.0
    return math.exp(math.fsum(map(math.log, values)) / len(values))
