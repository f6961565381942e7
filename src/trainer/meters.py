"""What training shows between two lines of the log, and of a whole epoch."""

from __future__ import annotations

import time

from torch import Tensor

from src.trainer.learner import StepResult


class Meters:
    """Sums since the last reading and since the epoch's start.

    Tensors stay on the device until they are read.
    """

    def __init__(self) -> None:
        self._epoch_total: Tensor | float = 0.0
        self._epoch_count: Tensor | float = 0.0
        self._reset()

    def _reset(self) -> None:
        self._total: Tensor | float = 0.0
        self._count: Tensor | float = 0.0
        self._norm: Tensor | float = 0.0
        self._steps = 0
        self._audio = 0.0
        self._waited = 0.0
        self._started = time.perf_counter()

    def start_epoch(self) -> None:
        self._epoch_total = self._epoch_count = 0.0
        self._reset()

    def wait(self, seconds: float) -> None:
        """Count time spent waiting for data."""
        self._waited += seconds

    def add(self, result: StepResult, audio_seconds: float) -> None:
        self._audio += audio_seconds
        if not result.stepped:
            return
        self._total = self._total + result.total
        self._count = self._count + result.count
        self._norm = self._norm + result.norm
        self._epoch_total = self._epoch_total + result.total
        self._epoch_count = self._epoch_count + result.count
        self._steps += 1

    def read(self, learning_rate: float) -> dict[str, float]:
        """The logged values since the last reading, by name."""
        elapsed = max(time.perf_counter() - self._started, 1e-9)
        values = {
            "train/learning_rate": learning_rate,
            "train/audio_seconds_per_second": self._audio / elapsed,
            "train/waiting_share": self._waited / elapsed,
        }
        if self._steps:
            values["train/loss"] = float(self._total) / float(self._count)
            values["train/grad_norm"] = float(self._norm) / self._steps
        self._reset()
        return values

    def epoch_loss(self) -> dict[str, float]:
        """The mean loss of the epoch's steps in this process, by name; empty without a step."""
        count = float(self._epoch_count)
        return {"train/epoch_loss": float(self._epoch_total) / count} if count else {}
