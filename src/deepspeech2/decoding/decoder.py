"""What every decoder is, and what they share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from deepspeech2.text import TextEncoder
from deepspeech2.types import Hypothesis, Padded

T = TypeVar("T")


class Decoder(Protocol):
    """Turns the network's output into transcripts.

    Attributes:
        name: stands in the names of metrics: ``val/WER_(Argmax)``.
    """

    name: str

    @property
    def hotwords(self) -> tuple[str, ...]:
        """The phrases that get a boost, normalised."""
        ...

    @property
    def settings(self) -> dict[str, Any]:
        """The options it was made with, as plain values for a checkpoint."""
        ...

    def __call__(self, log_probs: Padded) -> list[list[Hypothesis]]:
        """For each of (B, T, V) log-probabilities its hypotheses, best first, at least one."""
        ...

    def acoustic(self, log_probs: Padded) -> Padded:
        """The log-probabilities that its scores are of: these, or what it makes of them."""
        ...

    def knows(self, word: str) -> bool:
        """Whether the normalised ``word`` is one that it expects."""
        ...

    def language_score(self, text: str) -> float | None:
        """What it adds to ln P(text | audio) for a normalised text; None if it cannot say."""
        ...


def make_hypothesis(
    text_encoder: TextEncoder,
    score: float,
    labels: Sequence[int],
    frames: Sequence[int],
    log_confidences: Sequence[float],
) -> Hypothesis:
    """A hypothesis whose text has single spaces between words and none around them.

    Args:
        text_encoder: knows the characters.
        score: natural logarithm of the probability.
        labels: (L) without blanks.
        frames: (L) the frame in which each was emitted.
        log_confidences: (L) log-posterior of each label in its frame.
    """
    return Hypothesis(
        text=" ".join(text_encoder.decode(labels).split()),
        score=score,
        labels=tuple(labels),
        frames=tuple(frames),
        confidences=tuple(min(1.0, math.exp(value)) for value in log_confidences),
    )


def distinct(
    text_encoder: TextEncoder, found: Iterable[tuple[Sequence[int], T]], nbest: int
) -> Iterator[tuple[Sequence[int], T]]:
    """The first ``nbest`` labels, best first, that are different texts.

    Labels that differ in spaces at an end or beside another space are the same text.
    """
    seen: set[str] = set()
    for labels, more in found:
        text = " ".join(text_encoder.decode(labels).split())
        if text not in seen:
            seen.add(text)
            yield labels, more
        if len(seen) == nbest:
            return


def check_tokens(log_probs: Padded, text_encoder: TextEncoder) -> None:
    """Hold (B, T, V) against the alphabet.

    Raises:
        ValueError: the third axis is absent or not as long as the alphabet with its blank.
    """
    shape = tuple(log_probs.data.shape)
    if len(shape) != 3 or shape[2] != text_encoder.n_tokens:
        raise ValueError(f"log_probs must be (B, T, {text_encoder.n_tokens}), but is {shape}")
