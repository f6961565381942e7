"""What every decoder can do, and what it makes: hypotheses, with words, times and confidences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from deepspeech2.text import Tokenizer
from deepspeech2.types import Hypothesis, Padded


class Decoder(Protocol):
    """Turns the network's output into transcripts.

    A decoder of one's own inherits it, takes the text encoder first, and needs a name and
    :meth:`__call__`.

    Attributes:
        name: part of the names of metrics: ``val/WER_(Argmax)``.
    """

    name: str

    @property
    def hotwords(self) -> tuple[str, ...]:
        """The phrases that get a boost, normalised."""
        return ()

    @property
    def settings(self) -> dict[str, Any]:
        """The options it was made with, as plain values for a checkpoint."""
        return {}

    def __call__(self, log_probs: Padded) -> list[list[Hypothesis]]:
        """For each of (B, T, V) log-probabilities its hypotheses, best first, at least one."""
        ...

    def acoustic(self, log_probs: Padded) -> Padded:
        """The log-probabilities that its scores are of: these, or what it makes of them."""
        return log_probs

    def knows(self, word: str) -> bool:
        """Whether the normalised ``word`` is one that it expects."""
        return True

    def language_score(self, text: str) -> float | None:
        """What it adds to ln P(text | audio) for a normalised text; None if it does not know."""
        return None


def check_tokens(log_probs: Padded, text_encoder: Tokenizer) -> None:
    """Compare the shape of (B, T, V) with the alphabet.

    Raises:
        ValueError: the third axis is absent or not as long as the alphabet with its blank.
    """
    shape = tuple(log_probs.data.shape)
    if len(shape) != 3 or shape[2] != text_encoder.n_tokens:
        raise ValueError(f"log_probs must be (B, T, {text_encoder.n_tokens}), but is {shape}")


def text_of(labels: Sequence[int], text_encoder: Tokenizer) -> str:
    """The text of labels, with single spaces between words and none around them."""
    return " ".join(text_encoder.decode(labels).split())


def make_hypothesis(
    text_encoder: Tokenizer,
    score: float,
    labels: Sequence[int],
    frames: Sequence[int],
    log_confidences: Sequence[float],
) -> Hypothesis:
    """Return the hypothesis of some labels.

    Args:
        text_encoder: the alphabet.
        score: natural logarithm of the probability.
        labels: (L) without blanks.
        frames: (L) the frame in which each was emitted.
        log_confidences: (L) log-posterior of each label in its frame.
    """
    return Hypothesis(
        text=text_of(labels, text_encoder),
        score=score,
        labels=tuple(labels),
        frames=tuple(frames),
        confidences=tuple(min(1.0, math.exp(value)) for value in log_confidences),
    )


@dataclass(frozen=True, slots=True)
class Word:
    """A word; ``start`` and ``end`` in seconds, ``confidence`` in [0, 1]."""

    word: str
    start: float
    end: float
    confidence: float


def words(
    hypothesis: Hypothesis, seconds_per_frame: float, *, text_encoder: Tokenizer
) -> tuple[Word, ...]:
    """Split a hypothesis into its words.

    A word starts at the frame of its first label and ends one frame after that of its last. Its
    confidence is the geometric mean over its labels.

    Args:
        hypothesis: with a frame and a confidence for every label, as decoders make it.
        seconds_per_frame: duration of an output frame of the network.
        text_encoder: the alphabet.

    Raises:
        ValueError: there are more or fewer frames or confidences than labels.
    """
    result = []
    # strict: a hypothesis whose parts differ in length is a ValueError, not a shorter one.
    emissions = list(zip(hypothesis.labels, hypothesis.frames, hypothesis.confidences, strict=True))
    for places in text_encoder.words(hypothesis.labels):
        labels, frames, confidences = zip(*(emissions[place] for place in places), strict=True)
        result.append(
            Word(
                text_of(labels, text_encoder),
                frames[0] * seconds_per_frame,
                (frames[-1] + 1) * seconds_per_frame,
                _geometric_mean(confidences),
            )
        )
    return tuple(result)


def utterance_confidence(hypothesis: Hypothesis) -> float:
    """Return the geometric mean over all labels; 0 for an empty hypothesis."""
    return _geometric_mean(hypothesis.confidences) if hypothesis.confidences else 0.0


def _geometric_mean(values: Sequence[float]) -> float:
    if min(values) <= 0.0:
        return 0.0
    return math.exp(math.fsum(map(math.log, values)) / len(values))
