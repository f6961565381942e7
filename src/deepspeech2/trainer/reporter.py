"""What the steps of a run measure: sums on the device, read and reported every few steps."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from deepspeech2.datasets.loader import SpeechLoader
from deepspeech2.errors import CheckpointError, TrainingError
from deepspeech2.seeding import generator
from deepspeech2.trainer.alarms import Alarms, Reading, augmentation_idle
from deepspeech2.trainer.learner import Learner, StepResult
from deepspeech2.trainer.monitor import Progress
from deepspeech2.trainer.run_folder import IN_FILE
from deepspeech2.types import Batch, Padded, Sample
from deepspeech2.writer import Writer

log = logging.getLogger(__name__)

UTTERANCES, SECONDS = 8, 4  # that augmentations are tried on


class Reporter:
    """Adds up what the steps measure; logs and writes it every few steps, with warnings in words.

    Tensors stay on the device until they are read. Steps that were skipped count for the speed
    and for nothing else. All ranks must read at the same step.
    """

    def __init__(self, learner: Learner, alarms: Alarms, writer: Writer) -> None:
        self._learner = learner
        self._engine = learner.engine
        self._alarms = alarms
        self._writer = writer
        self._started = time.perf_counter()
        self._epoch = torch.zeros(2, device=self._engine.device)  # nats and labels
        self._reset()

    def _reset(self) -> None:
        """Begin the sums between two reports."""
        # nats, labels, gradient norms and steps
        self._sums = torch.zeros(4, device=self._engine.device)
        self._audio = self._padded = self._waited = 0.0
        self._since = time.perf_counter()

    def start_epoch(self, *, resumed: bool = False) -> None:
        """Begin at zero, or continue within the epoch where the run was ``resumed``."""
        sums = self._sums
        self._reset()
        if resumed:
            self._sums = sums
        else:
            self._epoch = torch.zeros_like(self._epoch)

    def state(self) -> tuple[float, ...]:
        """Return the sums of the losses of all ranks, without times and speeds."""
        return tuple(torch.cat((self._epoch, self._sums)).tolist())

    def load(self, sums: Sequence[float]) -> None:
        """Continue from the ``sums`` of :meth:`state`; older checkpoints have none.

        Raises:
            CheckpointError: there are not as many.
        """
        if not sums:
            return
        if len(sums) != 6:
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

    def epoch_loss(self) -> dict[str, float]:
        """Return the mean loss of the epoch, also of its steps before a resume, if it has any."""
        total, count = self._epoch.tolist()
        return {"train/epoch_loss": total / count} if count else {}

    def check_augmentations(self, loader: SpeechLoader) -> None:
        """Try the augmentations on a few utterances; warn of those that change nothing."""
        count = len(loader.dataset)
        items = [loader.dataset[index] for index in range(0, count, max(1, count // UTTERANCES))]
        samples = [item for item in items[:UTTERANCES] if isinstance(item, Sample)]
        if not samples:
            return
        pipeline = self._learner.pipeline
        most = SECONDS * pipeline.front_end.sample_rate
        waveforms = Padded.stack([sample.waveform[:most] for sample in samples]).to(pipeline.device)
        draw = generator(pipeline.device, self._learner.seed, "alarm")
        for sentence in augmentation_idle(pipeline.front_end, waveforms, draw):
            log.warning("Alarm: %s", sentence)

    def report(self, result: StepResult | None, progress: Progress, bar: tqdm[Any]) -> None:
        """Report the steps since the last time. All ranks must call this at the same step."""
        values = self._read()
        self._writer.scalars({**values, "epoch": progress.epoch}, progress.step)
        loss = values.get("train/loss", math.nan)
        speed = f"{values['train/audio_seconds_per_second']:.0f}x real time"
        bar.set_postfix_str(f"loss {loss:.3f}, {speed}")
        log.info(
            "step %d  loss %.3f  learning rate %.2e  gradient norm %.2f  %s  waiting for data"
            " %.0f %%  padding %.1f %%  memory %.1f GiB",
            progress.step,
            loss,
            values["train/learning_rate"],
            values.get("train/grad_norm", math.nan),
            speed,
            100 * values["train/waiting_share"],
            100 * values["train/padding"],
            values["train/peak_memory_gib"],
            extra=IN_FILE,
        )
        share = None if result is None else result.blank_share
        reading = Reading(
            step=progress.step,
            seconds=time.perf_counter() - self._started,
            loss=loss if math.isfinite(loss) else None,
            learning_rate=values["train/learning_rate"],
            waiting_share=values["train/waiting_share"],
            blank_share=None if share is None else float(share),
        )
        for sentence in self._alarms.watch(reading):
            log.warning("Alarm: %s", sentence)

    def _read(self) -> dict[str, float]:
        """Return the logged values since the last report, by name."""
        elapsed = max(time.perf_counter() - self._since, 1e-9)
        own = (self._audio, self._padded, self._waited / elapsed, self._engine.peak_memory())
        everyone = self._engine.host.numbers(*own)
        audio, padded, _, _ = everyone.sum(0).tolist()
        total, count, norms, steps = self._sums.tolist()
        values = {
            "train/learning_rate": self._learner.learning_rate,
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


class NonfiniteGuard:
    """Counts and names the steps that were skipped because loss or gradient was not finite.

    Whether a step was finite is a tensor on the device; nothing waits for it until
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
        """Count the steps since the last call."""
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
        """Settle, and end the run if too many steps were skipped. All ranks check together.

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
