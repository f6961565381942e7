"""Recordings of any length: the network hears windows, the decoder hears them joined.

A recording is cut at its quietest places. The network hears each piece with some seconds of its
neighbours, and the frames of the pieces alone are joined: every frame is there once, so no word is
lost or doubled where the recording was cut, and its time counts from the start. What is joined is
decoded in parts that end between words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deepspeech2.audio.silence import Levels, Span, cut, plan
from deepspeech2.decoding import Decoder
from deepspeech2.loss.ctc import BLANK
from deepspeech2.pipeline import Pipeline
from deepspeech2.types import Hypothesis, Padded

MAX_SEGMENT = 40.0  # seconds beyond which a recording is long, if nobody says otherwise
PIECE = 15.0  # seconds of a long one that the network hears at a time, at most: in more, speakers
# whose levels differ would share one mean and one deviation
MARGIN = 1.0  # seconds of the neighbours that are heard with each piece
TOGETHER = 120.0  # seconds of audio that the network hears at a time
PART = 10.0  # seconds of frames that are decoded at a time, at most
_LOUDNESS = 60.0  # dB that a frame without blank counts as
_PAUSE = 0.4  # seconds around the end of a part that should be blank


Recording = Callable[[], Iterable[npt.NDArray[np.float32]]]
"""Gives the samples of a recording from the start, in blocks (S,)."""


Examine = Callable[[Padded, Mapping[str, Sequence[Hypothesis]]], None]
"""Takes the frames (P, T, V) of the parts of a recording, and each decoder's hypotheses of them."""


def nobody(seconds: float) -> None:
    """Hears of the progress and does nothing."""


def pass_over(parts: Padded, hypotheses: Mapping[str, Sequence[Hypothesis]]) -> None:
    """Examines nothing."""


@dataclass(frozen=True, slots=True)
class Window:
    """A piece of a recording with its margins.

    Attributes:
        span: the piece, in output frames of the recording.
        first: the output frame that ``waveform`` begins at.
        waveform: (S,).
    """

    span: Span
    first: int
    waveform: Tensor


def windows(
    recording: Iterable[npt.NDArray[np.float32]], spans: Sequence[Span], step: int, margin: int
) -> Iterator[Window]:
    """Pieces of ``recording``, which is read once and held as far as the pieces need it.

    Args:
        step: samples of a frame.
        margin: frames before and after each piece.
    """
    source = iter(recording)
    held, origin = np.zeros(0, np.float32), 0
    for span in spans:
        first, last = max(0, span.start - margin), span.end + margin
        while origin + len(held) < last * step:
            block = next(source, None)
            if block is None:
                break
            held = np.concatenate((held, block))
        part = held[first * step - origin : last * step - origin]
        yield Window(span, first, torch.from_numpy(part.copy()))
        kept = max(0, span.end - margin) * step
        held, origin = held[kept - origin :], kept


def long_emissions(
    recording: Iterable[npt.NDArray[np.float32]],
    spans: Sequence[Span],
    network: Callable[[Padded], Padded],
    *,
    sample_rate: int,
    step: int,
    heard: Callable[[float], None] = nobody,
) -> Tensor:
    """(T, V) log-probabilities of a whole recording, on the CPU.

    Args:
        recording: its samples, in blocks (S,).
        spans: the pieces that the network hears, one after the other, in output frames.
        network: waveforms (B, S) to log-probabilities (B, T, V) whose frame t is centred on
            sample t * step.
        step: samples of a frame.
        heard: is told the seconds that the network has heard, again and again.

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
        if last or (len(batch) + 1) * longest > TOGETHER * a_second:
            parts += _frames(batch, network, spans[-1])
            heard(sum(each.span.end - each.span.start for each in batch) / a_second)
            batch = []
    return torch.cat(parts)


def _frames(
    batch: Sequence[Window], network: Callable[[Padded], Padded], last: Span
) -> list[Tensor]:
    """(T, V) of each window without its margins; the last has all frames to its end."""
    rows = network(Padded.stack([window.waveform for window in batch])).unpad()
    return [
        row[
            window.span.start - window.first : None
            if window.span == last
            else window.span.end - window.first
        ].cpu()
        for row, window in zip(rows, batch, strict=True)
    ]


def parts_to_decode(log_probs: Tensor, space: int | None, frames_per_second: float) -> list[Span]:
    """Spans of (T, V) that end between words, and in a pause where there is one.

    A part may end before a frame if the best path has a space, and no other label, on either side
    of it before the next label.
    """
    best = log_probs.argmax(dim=1).numpy()
    blank = log_probs[:, BLANK].exp().double().numpy()
    between = np.zeros(len(best), bool)
    previous: int | None = None
    labels = [(label, len(list(group))) for label, group in groupby(best.tolist())]
    place = 0
    for number, (label, length) in enumerate(labels):
        following = labels[number + 1][0] if number + 1 < len(labels) else space
        if label == BLANK:
            between[place : place + length] = previous in (None, space) or following == space
        else:
            between[place] = label == space and number > 0
            previous = label
        place += length
    return plan(
        _LOUDNESS * (1.0 - blank),
        max(1, int(PART * frames_per_second)),
        window=max(1, round(_PAUSE * frames_per_second)),
        forbidden=~between,
    )


def joined(parts: Sequence[tuple[Span, Hypothesis]], space: int | None) -> Hypothesis:
    """One hypothesis from those of the parts of a recording, in their order."""
    labels: list[int] = []
    frames: list[int] = []
    confidences: list[float] = []
    for span, part in parts:
        if labels and part.labels and space is not None:
            labels.append(space)
            frames.append(span.start)
            confidences.append(1.0)
        labels += part.labels
        frames += [span.start + frame for frame in part.frames]
        confidences += part.confidences
    return Hypothesis(
        text=("" if space is None else " ").join(part.text for _, part in parts if part.text),
        score=sum(part.score for _, part in parts),
        labels=tuple(labels),
        frames=tuple(frames),
        confidences=tuple(confidences),
    )


def decoded(
    log_probs: Tensor,
    decoders: Sequence[Decoder],
    space: int | None,
    frames_per_second: float,
    examine: Examine = pass_over,
) -> dict[str, Hypothesis]:
    """What each decoder makes of (T, V) of any length, by the decoder's name."""
    spans = parts_to_decode(log_probs, space, frames_per_second)
    parts = Padded.stack([log_probs[span.start : span.end] for span in spans])
    found = {decoder.name: [nbest[0] for nbest in decoder(parts)] for decoder in decoders}
    examine(parts, found)
    return {
        name: joined(list(zip(spans, hypotheses, strict=True)), space)
        for name, hypotheses in found.items()
    }


def listen(
    recording: Recording,
    pipeline: Pipeline,
    decoders: Sequence[Decoder],
    *,
    space: int | None,
    max_segment: float,
    heard: Callable[[float], None] = nobody,
    examine: Examine = pass_over,
) -> dict[str, Hypothesis]:
    """What each decoder makes of a recording of any length, by the decoder's name.

    Args:
        recording: called twice.
        pipeline: on its device.
        max_segment: seconds that the network hears at a time, at most; never more than ``PIECE``.
        heard: is told the seconds that were heard, again and again.
        examine: is shown the parts that were decoded.

    Raises:
        AudioError: it cannot be read.
    """
    rate = pipeline.front_end.sample_rate
    step = round(pipeline.seconds_per_frame * rate)
    device = next(pipeline.network.parameters()).device
    log_probs = long_emissions(
        recording(),
        cut(recording(), Levels(rate, step), min(max_segment, PIECE)),
        lambda waveforms: pipeline.emissions(waveforms.to(device)),
        sample_rate=rate,
        step=step,
        heard=heard,
    )
    return decoded(log_probs, decoders, space, rate / step, examine)
