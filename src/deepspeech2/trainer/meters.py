"""What training shows between two lines of the log, and of a whole epoch."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from deepspeech2.engine import Engine
from deepspeech2.errors import CheckpointError
from deepspeech2.trainer.learner import StepResult
from deepspeech2.types import Batch


class Meters:
    """Sums since the last reading and since the epoch's start.

    Tensors stay on the device until they are read. Steps that were skipped count for the speed
    and for nothing else. Reading is a matter of all ranks.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._epoch = torch.zeros(2, device=engine.device)
        self._reset()

    def _reset(self) -> None:
        # nats, labels, gradient norms and steps
        self._sums = torch.zeros(4, device=self._engine.device)
        self._audio = self._padded = self._waited = 0.0
        self._started = time.perf_counter()

    def start_epoch(self, *, resumed: bool = False) -> None:
        """Begin at zero, or go on within the epoch where the run was ``resumed``."""
        epoch, sums = self._epoch, self._sums
        self._reset()
        if resumed:
            self._sums = sums
        else:
            self._epoch = torch.zeros_like(epoch)

    def state(self) -> tuple[float, ...]:
        """The sums of the losses, which are those of all ranks; nothing of times and speeds."""
        return tuple(torch.cat((self._epoch, self._sums)).tolist())

    def load(self, sums: Sequence[float]) -> None:
        """Go on from the ``sums`` of :meth:`state`; older checkpoints have none.

        Raises:
            CheckpointError: they are not as many.
        """
        if not sums:
            return
        if len(sums) != len(self.state()):
            raise CheckpointError(f"the checkpoint's progress has {len(sums)} sums, not 6")
        device = self._engine.device
        self._epoch = torch.tensor(sums[:2], dtype=torch.float32, device=device)
        self._sums = torch.tensor(sums[2:], dtype=torch.float32, device=device)

    def wait(self, seconds: float) -> None:
        """Count time spent waiting for data."""
        self._waited += seconds

    def add(self, result: StepResult, batches: Sequence[Batch]) -> None:
        """Count a step of this rank's micro-batches."""
        for batch in batches:
            self._audio += batch.duration
            self._padded += batch.padded_duration
        one = torch.ones_like(result.norm)
        values = torch.stack((result.total, result.count * one, result.norm, one))
        values = torch.where(result.finite, values, 0.0)
        self._sums += values
        self._epoch += values[:2]

    def read(self, learning_rate: float) -> dict[str, float]:
        """The logged values since the last reading, by name."""
        elapsed = max(time.perf_counter() - self._started, 1e-9)
        own = (self._audio, self._padded, self._waited / elapsed, self._engine.peak_memory())
        everyone = self._engine.host.numbers(*own)
        audio, padded, _, _ = everyone.sum(0).tolist()
        total, count, norms, steps = self._sums.tolist()
        values = {
            "train/learning_rate": learning_rate,
            "train/audio_seconds_per_second": audio / elapsed,
            "train/waiting_share": float(everyone[:, 2].max()),
            "train/padding": 1 - audio / padded if padded else 0.0,
            "train/peak_memory_gib": float(everyone[:, 3].max()),
        }
        if steps:
            values["train/loss"] = total / count
            values["train/grad_norm"] = norms / steps
        self._reset()
        return values

    def epoch_loss(self) -> dict[str, float]:
        """The mean loss of the epoch's steps, also of those before a resume; empty without any."""
        total, count = self._epoch.tolist()
        return {"train/epoch_loss": total / count} if count else {}
