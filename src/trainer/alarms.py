"""What looks wrong in a run, in plain words, each said once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from src.transforms import FrontEnd
from src.types import Padded

BLANKS_FROM_STEP = 1000
ONLY_BLANKS = 0.9995  # of the output frames
WAITING = 0.2  # of the time
WAITING_SECONDS = 60.0  # that must have been watched
START_UP_READINGS = 2  # while workers start, waiting is no fault
SMOOTHED = 8  # readings that a loss is averaged over
RISEN = 1.5  # times the lowest loss
PERSISTENT = 4  # readings in a row
STILL_HIGH = 0.9  # of the learning rate at the lowest loss
DRAWS = 50  # of an augmentation that changes nothing, before it is blamed


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
        watchers: list[Callable[[Reading], str | None]] = [
            _Blanks().watch,
            _Waiting(num_workers, cached).watch,
            _RisenLoss().watch,
        ]
        self._quiet = watchers

    def watch(self, reading: Reading) -> list[str]:
        """Sentences about what is wrong now and was not said before."""
        said = [(watcher, watcher(reading)) for watcher in self._quiet]
        self._quiet = [watcher for watcher, sentence in said if sentence is None]
        return [sentence for _, sentence in said if sentence is not None]


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
    """The share of time spent waiting, over at least a minute."""

    num_workers: int
    cached: bool
    readings: int = 0
    last: float = 0.0
    watched: float = 0.0
    waited: float = 0.0

    def watch(self, reading: Reading) -> str | None:
        elapsed, self.last = reading.seconds - self.last, reading.seconds
        self.readings += 1
        if self.readings <= START_UP_READINGS:
            return None
        self.watched += elapsed
        self.waited += elapsed * reading.waiting_share
        if self.watched < WAITING_SECONDS or self.waited <= WAITING * self.watched:
            return None
        advice = f"raise dataloader.num_workers above {self.num_workers}"
        if not self.cached:
            advice += ", or decode the corpus once with dataloader.cache=disk"
        share = 100 * self.waited / self.watched
        return f"training waits for data {share:.0f} % of the time: {advice}"


@dataclass(slots=True)
class _RisenLoss:
    """A smoothed loss that stays far above its lowest while the learning rate is as high."""

    recent: deque[float] = field(default_factory=lambda: deque(maxlen=SMOOTHED))
    lowest: float = float("inf")
    at_lowest: Reading | None = None
    in_a_row: int = 0

    def watch(self, reading: Reading) -> str | None:
        if reading.loss is None:
            return None
        self.recent.append(reading.loss)
        if len(self.recent) < SMOOTHED:
            return None
        loss = sum(self.recent) / SMOOTHED
        if loss <= self.lowest:
            self.lowest, self.at_lowest = loss, reading
        then = self.at_lowest
        assert then is not None
        risen = loss >= RISEN * self.lowest
        as_high = reading.learning_rate >= STILL_HIGH * then.learning_rate
        self.in_a_row = self.in_a_row + 1 if risen and as_high else 0
        if self.in_a_row < PERSISTENT:
            return None
        return (
            f"the loss rose from {self.lowest:.2f} at step {then.step} (learning rate"
            f" {then.learning_rate:.2g}) to {loss:.2f} at step {reading.step} (learning rate"
            f" {reading.learning_rate:.2g}): the rate is too high, try"
            f" lr_scheduler.max_lr={then.learning_rate / 2:.1g}"
        )


def augmentation_idle(
    front_end: FrontEnd, waveforms: Padded, generator: torch.Generator
) -> list[str]:
    """Sentences about configured augmentations that change none of ``waveforms`` (B, S).

    Args:
        generator: on the device of the waveforms; draws are repeated before one is blamed.
    """
    plain = Padded(waveforms.data.float(), waveforms.lengths).masked()
    with torch.no_grad():
        features = front_end(waveforms)
    kinds = (
        ("waveform_transforms", front_end.waveform_transforms, plain),
        ("feature_transforms", front_end.feature_transforms, features),
    )
    return [
        f"{type(transform).__name__} in transforms.{key} changes nothing: check its"
        " probability and its range, or leave it out"
        for key, transforms, inputs in kinds
        for transform in _innermost(transforms)
        if not _changes(transform, inputs, generator)
    ]


def _innermost(transforms: Iterable[Any]) -> Iterator[Any]:
    """Transforms and what they are made of; one that merely chooses stands for itself too."""
    for transform in transforms:
        yield transform
        inner = getattr(transform, "transforms", None) or getattr(transform, "transform", None)
        if inner is not None:
            yield from _innermost(inner if isinstance(inner, (tuple, list)) else (inner,))


@torch.no_grad()
def _changes(transform: Any, inputs: Padded, generator: torch.Generator) -> bool:
    for _ in range(DRAWS):
        output = transform(inputs, generator)
        if output.data.shape != inputs.data.shape or not torch.equal(output.data, inputs.data):
            return True
    return False
