"""Recordings of any length: the network reads windows of them, decoders read them in one piece.

A recording is cut at its quietest places. The network gets each piece with some seconds of its
neighbours, and only the frames of the piece itself are kept: every frame occurs once, so no word is
lost or doubled at a cut, and times count from the start. The joined frames are decoded in parts
that end between words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deepspeech2.audio.silence import Span, plan
from deepspeech2.decoding import Decoder
from deepspeech2.decoding.decoder import text_of
from deepspeech2.loss.ctc import BLANK
from deepspeech2.text import Tokenizer
from deepspeech2.types import Hypothesis, Padded

PIECE = 15.0  # seconds of a long recording that the network gets at once, at most: in more,
# speakers whose levels differ would share one mean and one deviation
MARGIN = 1.0  # seconds of the neighbours that are added to each piece
TOGETHER = 120.0  # seconds of audio in a batch
PART = 10.0  # seconds of frames that are decoded at a time, at most
_LOUDNESS = 60.0  # dB that a frame without blank counts as
_PAUSE = 0.4  # seconds around the end of a part that should be blank


def no_progress(seconds: float) -> None:
    """Ignore how many seconds have been processed."""


@dataclass(frozen=True, slots=True)
class Window:
    """A piece of a recording with its margins.

    Attributes:
        span: the piece, in output frames of the recording.
        first: the output frame at which ``waveform`` begins.
        waveform: (S,).
    """

    span: Span
    first: int
    waveform: Tensor


def windows(
    recording: Iterable[npt.NDArray[np.float32]], spans: Sequence[Span], step: int, margin: int
) -> Iterator[Window]:
    """Cut ``recording`` into windows; it is read once, and only what they need is in memory.

    Args:
        step: samples of a frame.
        margin: frames before and after each piece.
    """
    source = iter(recording)
    buffer, origin = np.zeros(0, np.float32), 0
    for span in spans:
        first, last = max(0, span.start - margin), span.end + margin
        while origin + len(buffer) < last * step:
            block = next(source, None)
            if block is None:
                break
            buffer = np.concatenate((buffer, block))
        part = buffer[first * step - origin : last * step - origin]
        yield Window(span, first, torch.from_numpy(part.copy()))
        needed = max(0, span.end - margin) * step
        buffer, origin = buffer[needed - origin :], needed


def long_emissions(
    recording: Iterable[npt.NDArray[np.float32]],
    spans: Sequence[Span],
    network: Callable[[Padded], Padded],
    *,
    sample_rate: int,
    step: int,
    on_progress: Callable[[float], None] = no_progress,
) -> Tensor:
    """Run the network over a whole recording, return its log-probabilities (T, V) on the CPU.

    Args:
        recording: its samples, in blocks (S,).
        spans: the pieces, one after the other, in output frames.
        network: waveforms (B, S) to log-probabilities (B, T, V) whose frame t is centred on
            sample t * step.
        step: samples of a frame.
        on_progress: called with the seconds of each batch after the network has processed it.

    Raises:
        AudioError: the recording cannot be read.
    """
    a_second = sample_rate / step
    margin = round(MARGIN * a_second)
    longest = max(span.end - span.start for span in spans) + 2 * margin
    parts: list[Tensor] = []
    batch: list[Window] = []
    for window in windows(recording, spans, step, margin):
        batch.append(window)
        last = window.span == spans[-1]
        if not last and (len(batch) + 1) * longest <= TOGETHER * a_second:
            continue
        rows = network(Padded.stack([each.waveform for each in batch])).unpad()
        for each, row in zip(batch, rows, strict=True):
            # without the margins; the last window has all frames to its end
            end = None if each.span == spans[-1] else each.span.end - each.first
            parts.append(row[each.span.start - each.first : end].cpu())
        on_progress(sum(each.span.end - each.span.start for each in batch) / a_second)
        batch = []
    return torch.cat(parts)


@dataclass(frozen=True, slots=True)
class DecodedParts:
    """A recording that was decoded in parts.

    Attributes:
        spans: of the parts, in output frames.
        log_probs: (P, T, V), their frames.
        hypotheses: by the decoder's name, the best of each part.
        text_encoder: of their labels.
    """

    spans: Sequence[Span]
    log_probs: Padded
    hypotheses: dict[str, list[Hypothesis]]
    text_encoder: Tokenizer

    def joined(self) -> dict[str, Hypothesis]:
        """Return one hypothesis of the whole recording for each decoder's name."""
        return {
            name: joined(list(zip(self.spans, parts, strict=True)), self.text_encoder)
            for name, parts in self.hypotheses.items()
        }


def decode_parts(
    log_probs: Tensor,
    decoders: Sequence[Decoder],
    text_encoder: Tokenizer,
    frames_per_second: float,
) -> DecodedParts:
    """Decode (T, V) of any length with each decoder."""
    spans = parts_to_decode(log_probs, text_encoder, frames_per_second)
    parts = Padded.stack([log_probs[span.start : span.end] for span in spans])
    hypotheses = {decoder.name: [nbest[0] for nbest in decoder(parts)] for decoder in decoders}
    return DecodedParts(spans, parts, hypotheses, text_encoder)


def parts_to_decode(
    log_probs: Tensor, text_encoder: Tokenizer, frames_per_second: float
) -> list[Span]:
    """Divide (T, V) into spans that end between words, and in a pause if there is one.

    A part may end before a frame if the best path has a space, and nothing else, on either side
    of it before the next label: a space alone, or that of a token which begins or ends a word.
    """
    best = log_probs.argmax(dim=1).numpy()
    blank = log_probs[:, BLANK].exp().double().numpy()
    between = np.zeros(len(best), bool)
    before = True
    labels = [(label, len(list(group))) for label, group in groupby(best.tolist())]
    place = 0
    for number, (label, length) in enumerate(labels):
        if label == BLANK:
            following = labels[number + 1][0] if number + 1 < len(labels) else BLANK
            after = following == BLANK or text_encoder.tokens[following].startswith(" ")
            between[place : place + length] = before or after
        else:
            text = text_encoder.tokens[label]
            between[place] = text.startswith(" ") and number > 0
            before = text.endswith(" ")
        place += length
    return plan(
        _LOUDNESS * (1.0 - blank),
        max(1, int(PART * frames_per_second)),
        window=max(1, round(_PAUSE * frames_per_second)),
        forbidden=~between,
    )


def joined(parts: Sequence[tuple[Span, Hypothesis]], text_encoder: Tokenizer) -> Hypothesis:
    """Join the hypotheses of the parts of a recording, in their order.

    Between two parts is a space, unless the tokens bring one, or no token is a space.
    """
    tokens, space = text_encoder.tokens, text_encoder.space
    labels: list[int] = []
    frames: list[int] = []
    confidences: list[float] = []
    for span, part in parts:
        if not part.labels:
            continue
        apart = labels and (tokens[labels[-1]][-1] == " " or tokens[part.labels[0]][0] == " ")
        if labels and space is not None and not apart:
            labels.append(space)
            frames.append(span.start)
            confidences.append(1.0)
        labels += part.labels
        frames += [span.start + frame for frame in part.frames]
        confidences += part.confidences
    return Hypothesis(
        text=text_of(labels, text_encoder),
        score=sum(part.score for _, part in parts),
        labels=tuple(labels),
        frames=tuple(frames),
        confidences=tuple(confidences),
    )
