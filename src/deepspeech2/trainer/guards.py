"""What keeps one bad step from spoiling a run."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import Tensor

from deepspeech2.errors import TrainingError
from deepspeech2.trainer.progress import Progress
from deepspeech2.types import Batch

log = logging.getLogger(__name__)


class NonfiniteGuard:
    """Counts and names the steps that were skipped because loss or gradient was not finite.

    Whether a step was finite is a tensor on the device; nobody waits for it until
    :meth:`settle` reads all of them at once.

    Args:
        patience: such steps in a row that end the run; None never.
    """

    def __init__(self, patience: int | None) -> None:
        self.patience = patience
        self._open: list[tuple[int, Tensor, tuple[str, ...]]] = []

    def note(self, step: int, finite: Tensor, batches: Sequence[Batch]) -> None:
        """Remember what step number ``step`` learnt from, until it is known to be harmless."""
        names = tuple(item.id for batch in batches for item in batch.utterances)
        self._open.append((step, finite, names))

    def settle(self, progress: Progress) -> None:
        """Count what has come since the last call."""
        if not self._open:
            return
        flags = torch.stack([finite for _, finite, _ in self._open]).tolist()
        steps, self._open = self._open, []
        for finite, (step, _, names) in zip(flags, steps, strict=True):
            if finite:
                progress.nonfinite = 0
                continue
            progress.skipped += 1
            progress.nonfinite += 1
            log.warning(
                "Step %d was skipped: its loss or gradient is not finite (%s)",
                step,
                ", ".join(names),
            )

    def check(self, progress: Progress) -> None:
        """Settle, and give up if it is time to. All ranks must ask at the same step.

        Raises:
            TrainingError: ``patience`` or more steps in a row, up to now, were skipped.
        """
        self.settle(progress)
        if self.exhausted(progress):
            raise TrainingError(
                f"{progress.nonfinite} steps in a row had no finite loss or gradient, up to step"
                f" {progress.step}: lower the learning rate, or look at the utterances named in"
                " info.log; no weight was changed by them, and the last checkpoint is whole"
            )

    def exhausted(self, progress: Progress) -> bool:
        """Whether ``patience`` or more steps in a row were skipped, of those that are settled."""
        return self.patience is not None and progress.nonfinite >= self.patience
