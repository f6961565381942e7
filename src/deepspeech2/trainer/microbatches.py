"""The loaders of a run, and the micro-batches that make one step."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from deepspeech2.datasets.loader import Position, SpeechLoader
from deepspeech2.types import Batch

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Loaders of a run.

    Attributes:
        train: what the network learns from.
        validation: by name, scored after each epoch.
        test: by name, scored once, at the end, with the best weights.
        cached: whether audio is decoded only once.
    """

    train: SpeechLoader
    validation: Mapping[str, SpeechLoader]
    test: Mapping[str, SpeechLoader]
    cached: bool = False


class MicroBatches:
    """Reads the micro-batches of each step from a loader, until it is closed.

    Args:
        start: position of the first micro-batch.
        accumulate: micro-batches of a step.
        whole_epochs: a step ends with its pass over the data, if need be with fewer of them;
            otherwise it continues with the next pass.
    """

    def __init__(
        self, loader: SpeechLoader, start: Position, accumulate: int, *, whole_epochs: bool
    ) -> None:
        self._loader = loader
        self._stream = loader.stream(start)
        self._accumulate = accumulate
        self._whole_epochs = whole_epochs
        self._unreadable: set[str] = set()

    def take(self) -> tuple[Position, list[Batch]]:
        """Return the batches of the next step, and the position of the last of them.

        Audio that cannot be read is named in the log, once.
        """
        batches: list[Batch] = []
        while True:
            position, batch = next(self._stream)
            for failure in batch.failures:
                if failure.utterance.id not in self._unreadable:
                    self._unreadable.add(failure.utterance.id)
                    log.warning("Left out: %s", failure.reason)
            batches.append(batch)
            ends = position.batch + 1 == self._loader.n_batches(position.epoch)
            if len(batches) == self._accumulate or (self._whole_epochs and ends):
                return position, batches

    def close(self) -> None:
        """End the processes that read."""
        self._stream.close()


def epoch_ends(
    loader: SpeechLoader, n_epochs: int, epoch_len: int | None, accumulate: int
) -> list[int]:
    """Return the number of steps after each epoch; the last is the length of the run.

    Passes over the data differ in length, so the plans of all of them are counted.
    """
    if epoch_len is not None:
        return [epoch_len * (epoch + 1) for epoch in range(n_epochs)]
    ends, end = [], 0
    for epoch in range(n_epochs):
        end += -(-loader.n_batches(epoch) // accumulate)
        ends.append(end)
    return ends
