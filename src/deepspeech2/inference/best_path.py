"""The best path of a stream, which grows without being copied each time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from torch import Tensor

from deepspeech2.text import TextEncoder
from deepspeech2.types import Hypothesis

Piece = TypeVar("Piece")


def appended(
    pieces: tuple[Piece, ...],
    piece: Piece,
    size: Callable[[Piece], int],
    join: Callable[[Sequence[Piece]], Piece],
) -> tuple[Piece, ...]:
    """``pieces`` and one more, joined so that each is larger than what comes after it.

    So there are few of them however many were appended, and each part of one has been copied
    few times: both grow with the logarithm of their number.
    """
    found = [*pieces, piece]
    while len(found) > 1 and size(found[-2]) <= size(found[-1]):
        found[-2:] = [join(found[-2:])]
    return tuple(found)


@dataclass(frozen=True, slots=True)
class BestPath:
    """The most likely token of each frame, without repetitions and blanks.

    Attributes:
        pieces: whose labels follow each other; the spaces of their texts are as they were heard.
        previous: token of the last frame.
        n_frames: that were heard.
    """

    pieces: tuple[Hypothesis, ...] = ()
    previous: int = 0
    n_frames: int = 0

    @property
    def text(self) -> str:
        return " ".join("".join(piece.text for piece in self.pieces).split())

    def extended(self, log_probs: Tensor, encoder: TextEncoder) -> BestPath:
        """Carried on through (T, V)."""
        values, tokens = log_probs.max(dim=1)
        before, labels, frames, confidences = self.previous, [], [], []
        for place, (value, token) in enumerate(
            zip(values.tolist(), tokens.tolist(), strict=True), self.n_frames
        ):
            if token not in (encoder.blank, before):
                labels.append(token)
                frames.append(place)
                confidences.append(float(np.exp(value)))
            before = token
        found = Hypothesis(
            text=encoder.decode(labels),
            score=float(values.sum()),
            labels=tuple(labels),
            frames=tuple(frames),
            confidences=tuple(confidences),
        )
        pieces = appended(self.pieces, found, lambda piece: len(piece.labels), _joined)
        return BestPath(pieces, before, self.n_frames + len(log_probs))

    def hypothesis(self, first: int = 0) -> Hypothesis:
        """The labels of the frames from ``first`` on."""
        chosen = [piece for piece in self.pieces if piece.frames and piece.frames[-1] >= first]
        whole = _joined(chosen)
        start = bisect_left(whole.frames, first)
        return Hypothesis(
            text=" ".join(whole.text[start:].split()),
            score=whole.score,
            labels=whole.labels[start:],
            frames=whole.frames[start:],
            confidences=whole.confidences[start:],
        )


def _joined(pieces: Sequence[Hypothesis]) -> Hypothesis:
    return Hypothesis(
        text="".join(piece.text for piece in pieces),
        score=sum(piece.score for piece in pieces),
        labels=tuple(label for piece in pieces for label in piece.labels),
        frames=tuple(frame for piece in pieces for frame in piece.frames),
        confidences=tuple(share for piece in pieces for share in piece.confidences),
    )
