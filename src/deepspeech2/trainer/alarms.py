"""Warnings about what looks wrong in a run, in plain words, each given once."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import torch

from deepspeech2.transforms import FrontEnd
from deepspeech2.types import Padded

BLANKS_FROM_STEP = 1000
ONLY_BLANKS = 0.9995  # of the output frames

WAITING = 0.2  # of the time
WAITING_SECONDS = 60.0  # that must have been watched, in
WAITING_READINGS = 4  # readings at least
WAITING_MEMORY = 120.0  # seconds after which a reading is forgotten
START_UP_READINGS = 2  # while workers start, waiting is no fault

SMOOTHED_STEPS = 200  # that a loss is the median of, in
SMOOTHED_READINGS = 8  # readings at least
RISEN = 1.5  # times the lowest loss
RISEN_BY = 0.1  # nats per character at least: a loss near zero jumps without meaning
PERSISTENT = 4  # readings in a row
STILL_HIGH = 0.9  # of the learning rate at the lowest loss

DRAWS = 30  # of an augmentation that changes nothing, before it is blamed
_READS = {"waveform_transforms": "waveforms", "feature_transforms": "features"}


@dataclass(frozen=True, slots=True)
class Reading:
    """What one logging step measured.

    Attributes:
        step: of the run.
        seconds: of training since this process began.
        loss: nats per character since the last reading; None if there was no finite one.
        learning_rate: of the last step.
        waiting_share: of the time since the last reading, spent waiting for data.
        blank_share: of the latest batch's output frames, those that are most likely blank;
            None if unknown.
    """

    step: int
    seconds: float
    loss: float | None
    learning_rate: float
    waiting_share: float
    blank_share: float | None


class Alarms:
    """Watches the readings of a run.

    Args:
        num_workers: processes that read audio, for the advice.
        cached: whether audio is decoded only once.
    """

    def __init__(self, *, num_workers: int, cached: bool) -> None:
        self._quiet: list[_Blanks | _Waiting | _RisenLoss] = [
            _Blanks(),
            _Waiting(num_workers, cached),
            _RisenLoss(),
        ]

    def watch(self, reading: Reading) -> list[str]:
        """Return sentences about what is wrong now and was not reported before."""
        sentences = [watcher.watch(reading) for watcher in self._quiet]
        reported = zip(self._quiet, sentences, strict=True)
        self._quiet = [watcher for watcher, sentence in reported if sentence is None]
        return [sentence for sentence in sentences if sentence is not None]


@dataclass(slots=True)
class _Blanks:
    """Two readings in a row with hardly a frame that is not blank."""

    before: bool = False

    def watch(self, reading: Reading) -> str | None:
        share = reading.blank_share
        if share is None or reading.step < BLANKS_FROM_STEP:
            return None
        now, before = share >= ONLY_BLANKS, self.before
        self.before = now
        if not (now and before):
            return None
        return (
            f"after {reading.step} steps {100 * share:.2f} % of the output is still blank: try"
            " python train.py -cn=one_batch with the same model; if that learns, try another"
            " lr_scheduler.max_lr and check that the transcripts belong to the audio"
        )


@dataclass(slots=True)
class _Waiting:
    """The share of the last minute or two that was spent waiting.

    Half of the readings must agree with the mean: one long one, with a start of workers in it,
    is no fault.
    """

    num_workers: int
    cached: bool
    readings: int = 0
    last: float = 0.0
    recent: deque[tuple[float, float]] = field(default_factory=deque)  # seconds, share of waiting

    def watch(self, reading: Reading) -> str | None:
        elapsed, self.last = reading.seconds - self.last, reading.seconds
        self.readings += 1
        if self.readings <= START_UP_READINGS:
            return None
        recent = self.recent
        recent.append((elapsed, reading.waiting_share))
        watched = sum(seconds for seconds, _ in recent)
        while len(recent) > WAITING_READINGS and watched - recent[0][0] >= WAITING_MEMORY:
            watched -= recent.popleft()[0]
        if watched < WAITING_SECONDS or len(recent) < WAITING_READINGS:
            return None
        share = sum(seconds * share for seconds, share in recent) / watched
        if share <= WAITING or median(share for _, share in recent) <= WAITING:
            return None
        advice = f"raise dataloader.num_workers above {self.num_workers}"
        if not self.cached:
            advice += ", or decode the corpus once with dataloader.cache=disk"
        return f"training waits for data {100 * share:.0f} % of the time: {advice}"


@dataclass(slots=True)
class _RisenLoss:
    """A smoothed loss that stays far above its lowest while the learning rate is as high.

    Smoothed by a median, so that a single spike, which optimisers recover from, does not count,
    and over enough steps that the noise of batches is smaller than a rise.
    """

    recent: deque[Reading] = field(default_factory=deque)
    lowest: float = float("inf")
    at_lowest: Reading | None = None
    in_a_row: int = 0

    def watch(self, reading: Reading) -> str | None:
        loss = self._smoothed(reading)
        if loss is None:
            return None
        if loss <= self.lowest:
            self.lowest, self.at_lowest = loss, reading
        then = self.at_lowest
        assert then is not None
        risen = loss >= max(RISEN * self.lowest, self.lowest + RISEN_BY)
        as_high = reading.learning_rate >= STILL_HIGH * then.learning_rate
        self.in_a_row = self.in_a_row + 1 if risen and as_high else 0
        if self.in_a_row < PERSISTENT:
            return None
        return (
            f"the loss rose from {self.lowest:.2f} at step {then.step} (learning rate"
            f" {then.learning_rate:.2g}) to {loss:.2f} at step {reading.step} (learning rate"
            f" {reading.learning_rate:.2g}): the rate is too high, try"
            f" lr_scheduler.max_lr={then.learning_rate / 2:.1g} (optimizer.lr where it is constant)"
        )

    def _smoothed(self, reading: Reading) -> float | None:
        """Return the median of the latest losses; None before there are enough of them."""
        if reading.loss is None:
            return None
        recent = self.recent
        recent.append(reading)
        enough = reading.step - SMOOTHED_STEPS
        while len(recent) > SMOOTHED_READINGS and recent[1].step <= enough:
            recent.popleft()
        if len(recent) < SMOOTHED_READINGS or recent[0].step > enough:
            return None
        return median(each.loss for each in recent if each.loss is not None)


def augmentation_idle(
    front_end: FrontEnd, waveforms: Padded, generator: torch.Generator
) -> list[str]:
    """Return sentences about augmentations that change none of ``waveforms`` (B, S).

    Each is tried alone, and so are the parts of those that are composed. Those in the list of the
    other kind are named too.

    Args:
        generator: on the device of the waveforms; draws are repeated before one is blamed.
    """
    plain = Padded(waveforms.data.float(), waveforms.lengths).masked()
    inputs = {"waveform_transforms": plain, "feature_transforms": front_end(waveforms)}
    return [
        sentence
        for key in inputs
        for transform in getattr(front_end, key)
        for sentence in _about(transform, key, inputs, generator)
    ]


def _about(
    transform: Any, key: str, inputs: Mapping[str, Padded], generator: torch.Generator
) -> list[str]:
    """Return sentences about ``transform``, of ``transforms.<key>``, or its parts."""
    name = f"{type(transform).__name__} in transforms.{key}"
    changes = _changes(transform, inputs[key], generator)
    if changes is None:
        fitting = [each for each in inputs if _changes(transform, inputs[each], generator)]
        remedy = f"move it to transforms.{fitting[0]}" if fitting else "leave it out"
        return [f"{name} cannot be applied to {_READS[key]}: {remedy}"]
    if not changes:
        return [f"{name} changes nothing: check its probability and its range, or leave it out"]
    parts = getattr(transform, "transforms", None) or getattr(transform, "transform", None) or ()
    parts = parts if isinstance(parts, (tuple, list)) else (parts,)
    return [sentence for part in parts for sentence in _about(part, key, inputs, generator)]


@torch.no_grad()
def _changes(transform: Any, inputs: Padded, generator: torch.Generator) -> bool | None:
    """Whether any draw changes anything; None if it fails on inputs of this kind."""
    try:
        for _ in range(DRAWS):
            output = transform(inputs, generator)
            if output.data.shape[2:] != inputs.data.shape[2:]:
                return None
            if output.data.shape != inputs.data.shape or not torch.equal(output.data, inputs.data):
                return True
    except (RuntimeError, ValueError, IndexError, TypeError):
        return None
    return False
