"""The training loop."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from tqdm import tqdm

from src import checkpoint
from src.datasets.loader import Position, SpeechLoader
from src.trainer.keeping import Keeper
from src.trainer.learner import Learner
from src.trainer.meters import Meters
from src.trainer.monitor import Monitor
from src.trainer.progress import Progress
from src.trainer.run_folder import RunFolder
from src.trainer.settings import TrainerSettings
from src.trainer.showing import Showroom
from src.trainer.signals import GracefulStop
from src.trainer.validation import Validator
from src.types import Batch
from src.writer import Writer

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Loaders of a run.

    Attributes:
        train: what is learnt from.
        validation: by name, scored after each epoch.
        test: by name, scored once, at the end, with the best weights.
    """

    train: SpeechLoader
    validation: Mapping[str, SpeechLoader]
    test: Mapping[str, SpeechLoader]


def epoch_ends(loader: SpeechLoader, n_epochs: int, epoch_len: int | None) -> list[int]:
    """The number of steps after each epoch; the last is the length of the run.

    Passes over the data differ in length, so the plans of all of them are counted.
    """
    if epoch_len is not None:
        return [epoch_len * (epoch + 1) for epoch in range(n_epochs)]
    return list(accumulate(loader.n_batches(epoch) for epoch in range(n_epochs)))


class Trainer:
    """Trains for the epochs that are left, validates, keeps checkpoints."""

    def __init__(
        self,
        settings: TrainerSettings,
        learner: Learner,
        data: TrainingData,
        validate: Validator,
        keeper: Keeper,
        show: Showroom,
        folder: RunFolder,
        writer: Writer,
    ) -> None:
        self.settings = settings
        self.learner = learner
        self.data = data
        self.validate = validate
        self.keeper = keeper
        self.show = show
        self.folder = folder
        self.writer = writer
        self.progress = Progress()
        self.monitor = Monitor.parse(settings.monitor, settings.early_stop)
        self._ends = epoch_ends(data.train, settings.n_epochs, settings.epoch_len)
        self._meters = Meters()
        self._unreadable: set[str] = set()
        self._metrics: dict[str, float] = {}

    def start_at(self, progress: Progress, metrics: Mapping[str, float]) -> None:
        """Go on from ``progress``, at which the run had these metrics."""
        self.progress = progress
        self.monitor.best, self.monitor.waited = progress.best, progress.waited
        self._metrics = dict(metrics)

    def run(self) -> int:
        """Train to the end or until asked to stop; returns the exit status."""
        started = time.perf_counter() - self.progress.seconds
        if not self._done():
            with GracefulStop() as stop:
                stream = self.data.train.stream(self.progress.position)
                while not self._done():
                    self._epoch(stream, stop)
                    self.progress.seconds = time.perf_counter() - started
                    if stop.requested:
                        self._save(self.folder.last)
                        step = self.progress.step
                        log.info("Stopped at step %d: trainer.resume_from=auto goes on", step)
                        return stop.exit_status
                    self._close_epoch()
        self._finish()
        return 0

    def _done(self) -> bool:
        return self.progress.epoch >= len(self._ends) or self.monitor.exhausted

    def _epoch(self, stream: Iterator[tuple[Position, Batch]], stop: GracefulStop) -> None:
        progress, end = self.progress, self._ends[self.progress.epoch]
        begin = self._ends[progress.epoch - 1] if progress.epoch else 0
        self.learner.pipeline.train()
        self._meters.start_epoch()
        bar = tqdm(
            desc=f"epoch {progress.epoch + 1}/{len(self._ends)}",
            total=end - begin,
            initial=progress.step - begin,
            unit="step",
            leave=False,
            dynamic_ncols=True,
            disable=not self.learner.engine.is_main,
        )
        with bar:
            while progress.step < end and not stop.requested:
                waiting = time.perf_counter()
                position, batch = next(stream)
                self._meters.wait(time.perf_counter() - waiting)
                self._step(batch)
                progress.advance(position)
                bar.update()
                if progress.step % self.settings.log_step == 0 or progress.step == end:
                    self._log(bar)
                every = self.settings.save_every
                if every is not None and progress.step % every == 0:
                    self._save(self.folder.last)

    def _step(self, batch: Batch) -> None:
        progress = self.progress
        for failure in batch.failures:
            if failure.utterance.id not in self._unreadable:
                self._unreadable.add(failure.utterance.id)
                log.warning("Left out: %s", failure.reason)
        if not len(batch):
            progress.skipped += 1
            return
        result = self.learner.step(batch, progress.step)
        self._meters.add(result, batch.duration)
        if not result.stepped:
            progress.skipped += 1
            names = ", ".join(utterance.id for utterance in batch.utterances)
            log.warning("Step %d skipped: its gradient is not finite (%s)", progress.step, names)

    def _log(self, bar: tqdm[Any]) -> None:
        values = self._meters.read(self.learner.learning_rate)
        speed = f"{values['train/audio_seconds_per_second']:.0f}x real time"
        bar.set_postfix_str(f"loss {values.get('train/loss', float('nan')):.3f}, {speed}")
        self.writer.scalars({**values, "epoch": self.progress.epoch}, self.progress.step)

    def _close_epoch(self) -> None:
        """Validate, show, and keep what is worth keeping."""
        progress, settings = self.progress, self.settings
        progress.epoch += 1
        last = progress.epoch == len(self._ends)
        draw = self.show.due() or last
        values = self._meters.epoch_loss() | self.validate(
            self.data.validation,
            progress,
            everything=last or progress.epoch % settings.decode_period == 0,
            draw=draw,
        )
        self.writer.scalars({**values, "epoch": progress.epoch}, progress.step)
        if draw:
            self.show.augmentation(self.data.train, progress.epoch, progress.step)
            self.show.curves(progress.step)
        self._metrics |= values
        best = self.monitor.update(values)
        progress.best, progress.waited = self.monitor.best, self.monitor.waited
        log.info(
            "epoch %d/%d  %s  (%.1f min)%s",
            progress.epoch,
            len(self._ends),
            _readable(values),
            progress.seconds / 60,
            "  best so far" if best and self.monitor.metric else "",
        )
        if best:
            self._save(self.folder.best, whole=False)
        if progress.epoch % settings.save_period == 0 or last:
            self._save(self.folder.epoch(progress.epoch))
        self._save(self.folder.last)

    def _finish(self) -> None:
        monitor = self.monitor
        if monitor.exhausted:
            log.info("Stopped early: no better %s in %d epochs", monitor.metric, monitor.waited)
        if not self.folder.best.exists():
            log.warning("%s was never measured: the last epoch counts as the best", monitor.metric)
            self._save(self.folder.best, whole=False)
        self.show.curves(self.progress.step)
        if self.progress.skipped:
            log.warning("%d steps were skipped", self.progress.skipped)
        if self.data.test:
            content = checkpoint.load(self.folder.best)
            checkpoint.load_weights(self.learner.pipeline, content["state_dict"], self.folder.best)
            values = self.validate(self.data.test, self.progress, everything=True, draw=False)
            self.writer.scalars({**values, "epoch": self.progress.epoch}, self.progress.step)
            log.info("best model  %s", _readable(values))
        log.info("Best model: %s", self.folder.best)

    def _save(self, path: Path, *, whole: bool = True) -> None:
        self.keeper.save(path, self.progress, self._metrics, whole=whole)


def _readable(values: Mapping[str, float]) -> str:
    """``val/WER_(Argmax) 12.34 %  val/loss 0.321``"""
    return "  ".join(
        f"{name} {100 * value:.2f} %" if "ER_(" in name else f"{name} {value:.3f}"
        for name, value in values.items()
    )
