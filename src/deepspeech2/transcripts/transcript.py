"""The transcript of one recording."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from deepspeech2.decoding import Word


@dataclass(frozen=True, slots=True)
class Transcript:
    """The text of a recording and its words.

    Attributes:
        text: normalised; empty if nothing was recognised.
        words: of ``text``, with seconds from the start of the recording.
        confidence: from 0 to 1; 0 without words.
        duration: seconds of the recording.
        id: the stem of its files' names.
        audio: path of the recording; None for samples.
        reference: what was said, normalised; None if unknown.
        channel: the only one that was recognised, counted from 1; None: the mix of all.
        error: why a part of the recording could not be read; None if all was.
    """

    text: str
    words: tuple[Word, ...]
    confidence: float
    duration: float
    id: str = "audio"
    audio: str | None = None
    reference: str | None = None
    channel: int | None = None
    error: str | None = None

    @classmethod
    def joined(cls, parts: Sequence[Transcript]) -> Transcript:
        """Join the parts of one recording, in their order.

        Times must count from the recording's start already. The confidence is the geometric mean
        over the parts, weighted by their words.
        """
        words = tuple(word for part in parts for word in part.words)
        spoken = [part for part in parts if part.words]
        confidence = 0.0
        if spoken and all(part.confidence > 0 for part in spoken):
            total = math.fsum(len(part.words) * math.log(part.confidence) for part in spoken)
            confidence = math.exp(total / len(words))
        return replace(
            parts[0],
            text=" ".join(part.text for part in parts if part.text),
            words=words,
            confidence=confidence,
            duration=max(part.duration for part in parts),
        )
