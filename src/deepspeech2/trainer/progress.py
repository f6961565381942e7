"""How far a run is: with weights, optimiser, schedule and scaler all the state there is."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from deepspeech2.datasets.loader import Position
from deepspeech2.errors import CheckpointError
from deepspeech2.escaping import printable


@dataclass(slots=True)
class Progress:
    """Counters of a run.

    Attributes:
        step: optimiser steps taken, skipped ones included.
        epoch: epochs finished.
        data_epoch, data_batch: position of the next micro-batch in the stream of data.
        best, waited: see :class:`deepspeech2.trainer.monitor.Monitor`.
        skipped: steps without a finite loss or gradient, or without any readable audio.
        nonfinite: steps in a row, up to now, without a finite loss or gradient.
        seconds: of training time so far.
        sums: what the meters have added up, see :class:`deepspeech2.trainer.meters.Meters`.
    """

    step: int = 0
    epoch: int = 0
    data_epoch: int = 0
    data_batch: int = 0
    best: float | None = None
    waited: int = 0
    skipped: int = 0
    nonfinite: int = 0
    seconds: float = 0.0
    sums: tuple[float, ...] = ()

    @property
    def position(self) -> Position:
        return Position(self.data_epoch, self.data_batch)

    def advance(self, taken: Position) -> None:
        """Count the batch at ``taken``."""
        self.step += 1
        self.data_epoch, self.data_batch = taken.epoch, taken.batch + 1

    def state(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Progress:
        """Raises CheckpointError for unknown, missing or impossible counters."""
        known = {field.name for field in fields(cls)}
        given = {"sums": (), **state}  # older checkpoints have none
        if set(given) != known:
            wrong = printable(", ".join(sorted(map(str, known ^ set(given)))))
            raise CheckpointError(f"the checkpoint's progress does not fit: {wrong}")
        for name, value in given.items():
            counts = isinstance(value, int) and value >= 0
            number = isinstance(value, int | float) and (name == "best" or value >= 0)
            floats = isinstance(value, tuple) and all(isinstance(each, float) for each in value)
            real = {"best": number or value is None, "seconds": number, "sums": floats}
            if not real.get(name, counts):
                raise CheckpointError(
                    f"the checkpoint's progress cannot have {name}={reprlib.repr(value)}"
                )
        return cls(**given)
