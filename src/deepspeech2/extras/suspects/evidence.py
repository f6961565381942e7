"""What in a recording speaks against its transcript."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from deepspeech2.decoding import GreedyDecoder
from deepspeech2.decoding.decoder import text_of
from deepspeech2.decoding.kernels.frames import BLANK
from deepspeech2.decoding.loose import LEFT_OUT, UNSAID, UNWRITTEN, LooseAlignment, align_loosely
from deepspeech2.metrics.edits import character_edits
from deepspeech2.text import Tokenizer
from deepspeech2.types import Padded

_HEARD = 3 * UNWRITTEN  # what is heard between two words is named from three letters on
_CLEAR = 0.1  # nats that each label of a word costs in the clearest of recordings


@dataclass(frozen=True, slots=True)
class Unwritten:
    """Speech without words in the transcript: from ``start`` to ``end`` in seconds."""

    start: float
    end: float
    heard: str


@dataclass(frozen=True, slots=True)
class Unsaid:
    """A word of the transcript, normalised, that is not said; ``place`` counts words from 0."""

    place: int
    word: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """How well a transcript and a recording agree.

    Attributes:
        heard: the most probable transcript.
        ctc: the CTC loss (nats) for each label of the transcript; infinite if it cannot be said in
            so few frames.
        worse: by how much that exceeds the best path of any text, for each label: 0 is best.
        words: by how much the frames of the words are less probable than the best tokens of the
            same frames, for each label, where words that are not said have the price of leaving
            them out: how badly this recording is heard anyway.
        cer: characters of the transcript that are heard otherwise, as a share.
        unsaid: words that the best alignment leaves out, in order.
        unwritten: speech that it passes over, in order.
        why_not: why nothing can be measured; then all numbers are infinite.
    """

    heard: str = ""
    ctc: float = math.inf
    worse: float = math.inf
    words: float = math.inf
    cer: float = math.inf
    unsaid: tuple[Unsaid, ...] = ()
    unwritten: tuple[Unwritten, ...] = ()
    why_not: str | None = None

    @property
    def suspicion(self) -> float:
        """How much worse the transcript is than the best path, against how badly its words are
        heard: a recording full of noise needs more to be suspicious than a clear one."""
        return self.worse / (_CLEAR + self.words) if self.worse < math.inf else math.inf


def evidence(
    log_probs: Tensor, text: str, *, text_encoder: Tokenizer, seconds_per_frame: float
) -> Evidence:
    """Compare a transcript with what a network hears.

    Args:
        log_probs: (T, V) natural logarithms.
        text: is normalised by ``text_encoder``.

    Raises:
        ManifestError: the alphabet has no space, without which there are no words to leave out.
    """
    (best,) = GreedyDecoder(text_encoder)(Padded.stack([log_probs]))[0]
    if unknown := text_encoder.unknown(text):
        named = " ".join(sorted(unknown))
        return Evidence(best.text, why_not=f"characters outside the alphabet: {named}")
    labels = text_encoder.encode(text)
    if not text_encoder.words(labels):
        return Evidence(best.text, why_not="no words")
    if not len(log_probs):
        return Evidence(best.text, why_not="no sound")
    ctc = functional.ctc_loss(
        log_probs[:, None].float(),
        torch.tensor([labels]),
        torch.tensor([len(log_probs)]),
        torch.tensor([len(labels)]),
        blank=BLANK,
        reduction="sum",
    ).item()
    alignment = align_loosely(log_probs, text, text_encoder)
    said = alignment.start != LEFT_OUT
    costs = np.where(said, alignment.cost, UNSAID)
    normal = text_encoder.normalize(text)
    return Evidence(
        best.text,
        ctc / len(labels),
        (ctc + best.score) / len(labels),
        float((costs @ alignment.sizes) / alignment.sizes.sum()),
        character_edits(normal, best.text).rate,
        tuple(Unsaid(place, alignment.words[place]) for place in np.flatnonzero(~said).tolist()),
        _unwritten(alignment, log_probs, text_encoder, seconds_per_frame),
    )


def _unwritten(
    alignment: LooseAlignment, log_probs: Tensor, text_encoder: Tokenizer, seconds_per_frame: float
) -> tuple[Unwritten, ...]:
    """Return the stretches between words that cost what three letters do, with their letters."""
    said = alignment.start != LEFT_OUT
    passed = alignment.passed_over
    best = log_probs.argmax(dim=1).numpy()
    fresh = np.diff(best, prepend=BLANK) != 0
    result = []
    starts = np.append(0, alignment.end[said])
    ends = np.append(alignment.start[said], len(best))
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        if passed[end] - passed[start] < _HEARD:
            continue
        frames = start + np.flatnonzero((best != BLANK)[start:end] & fresh[start:end])
        heard = text_of(best[frames].tolist(), text_encoder).strip()
        letters = frames[best[frames] != text_encoder.space]
        first, last = int(letters[0]), int(letters[-1]) + 1
        result.append(
            Unwritten(
                round(first * seconds_per_frame, 2), round(last * seconds_per_frame, 2), heard
            )
        )
    return tuple(result)
