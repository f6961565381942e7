"""The training loop."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from tqdm import tqdm

from src import checkpoint
from src.datasets.loader import Position, SpeechLoader
from src.decoding import Decoder
from src.errors import CheckpointError
from src.evaluation import Evaluation, evaluate
from src.text import TextEncoder
from src.trainer.learner import Learner
from src.trainer.meters import Meters
from src.trainer.monitor import Monitor
from src.trainer.progress import Progress
from src.trainer.run_folder import RunFolder
from src.trainer.settings import TrainerSettings
from src.trainer.showing import Showroom
from src.trainer.signals import GracefulStop
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
    """Trains for the epochs that are left, validates, keeps checkpoints.

    Args:
        decoders: the first is greedy and scores every epoch, the others every
            ``decode_period`` epochs and at the end.
        recipe: see :mod:`src.checkpoint`.
        config: the run's config, kept in its checkpoints for people to read.
    """

    def __init__(
        self,
        settings: TrainerSettings,
        learner: Learner,
        data: TrainingData,
        decoders: Sequence[Decoder],
        text_encoder: TextEncoder,
        folder: RunFolder,
        writer: Writer,
        *,
        recipe: Mapping[str, Mapping[str, Any]],
        config: Mapping[str, Any],
    ) -> None:
        self.settings = settings
        self.learner = learner
        self.data = data
        self.decoders = tuple(decoders)
        self.text_encoder = text_encoder
        self.folder = folder
        self.writer = writer
        self.recipe = recipe
        self.config = config
        self.progress = Progress()
        self.monitor = Monitor.parse(settings.monitor, settings.early_stop)
        self._ends = epoch_ends(data.train, settings.n_epochs, settings.epoch_len)
        self._show = Showroom(
            writer, learner.pipeline, text_encoder, folder.path / "metrics.jsonl", settings.seed
        )
        self._meters = Meters()
        self._unreadable: set[str] = set()
        self._metrics: dict[str, float] = {}

    def resume(self, content: Mapping[str, Any], path: Any) -> None:
        """Go on where ``content``, a loaded checkpoint, left off.

        Raises:
            CheckpointError: it belongs to another architecture, other data, or another plan.
        """
        if "training" not in content:
            raise CheckpointError(
                f"{path} holds weights alone: start from them with trainer.from_pretrained"
            )
        checkpoint.check_recipe(content, self.recipe, path)
        training = content["training"]
        if training["data"] != self.data.train.fingerprint():
            raise CheckpointError(
                f"{path} was trained on other data or with other batches: resume with the same,"
                " or start a new run with trainer.from_pretrained"
            )
        self.learner.load(content["state_dict"], training, path)
        self.progress = Progress.from_state(training["progress"])
        self.monitor.best = self.progress.best
        self.monitor.waited = self.progress.waited
        self._metrics = dict(content.get("metrics", {}))
        log.info("Resumed from %s at step %d", path, self.progress.step)

    def run(self) -> int:
        """Train to the end or until asked to stop; returns the exit status."""
        started = time.perf_counter() - self.progress.seconds
        if self.progress.epoch < len(self._ends):
            with GracefulStop() as stop:
                stream = self.data.train.stream(self.progress.position)
                while self.progress.epoch < len(self._ends) and not self.monitor.exhausted:
                    self._epoch(stream, stop)
                    self.progress.seconds = time.perf_counter() - started
                    if stop.requested:
                        self._save(self.folder.last)
                        log.info(
                            "Stopped at step %d; go on with trainer.resume_from=auto",
                            self.progress.step,
                        )
                        return stop.exit_status
                    self._close_epoch()
        self._finish()
        return 0

    def _epoch(self, stream: Iterator[tuple[Position, Batch]], stop: GracefulStop) -> None:
        progress, end = self.progress, self._ends[self.progress.epoch]
        begin = self._ends[progress.epoch - 1] if progress.epoch else 0
        self.learner.pipeline.train()
        self._meters.read(self.learner.learning_rate)
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
        for failure in batch.failures:
            if failure.utterance.id not in self._unreadable:
                self._unreadable.add(failure.utterance.id)
                log.warning("Left out: %s", failure.reason)
        if not len(batch):
            self.progress.skipped += 1
            return
        result = self.learner.step(batch, self.progress.step)
        self._meters.add(result, batch.duration)
        if not result.stepped:
            self.progress.skipped += 1
            names = ", ".join(utterance.id for utterance in batch.utterances)
            log.warning(
                "Step %d skipped: its gradient is not finite (%s)", self.progress.step, names
            )

    def _log(self, bar: tqdm[Any]) -> None:
        values = self._meters.read(self.learner.learning_rate)
        if "train/loss" in values:
            self._metrics["train/loss"] = values["train/loss"]
        shown = f"loss {values.get('train/loss', float('nan')):.3f}"
        bar.set_postfix_str(f"{shown}, {values['train/audio_seconds_per_second']:.0f}x real time")
        self.writer.scalars({**values, "epoch": self.progress.epoch}, self.progress.step)

    def _close_epoch(self) -> None:
        """Validate, show, and keep what is worth keeping."""
        progress, settings = self.progress, self.settings
        progress.epoch += 1
        last = progress.epoch == len(self._ends)
        everything = last or progress.epoch % settings.decode_period == 0
        decoders = self.decoders if everything else self.decoders[:1]
        values: dict[str, float] = {}
        for name, loader in self.data.validation.items():
            evaluation = self._evaluate(name, loader, decoders)
            values |= {f"{name}/{key}": value for key, value in evaluation.values().items()}
            self._show.predictions(name, evaluation.results, progress.epoch, progress.step)
            self._show.emissions(loader, progress.epoch, progress.step)
        self.writer.scalars({**values, "epoch": progress.epoch}, progress.step)
        self._show.augmentation(self.data.train, progress.epoch, progress.step)
        self._show.curves(progress.step)
        self._metrics |= values
        best = self.monitor.update(values)
        progress.best, progress.waited = self.monitor.best, self.monitor.waited
        self._log_epoch(best)
        if best:
            self._save(self.folder.best, whole=False)
        if progress.epoch % settings.save_period == 0 or last:
            self._save(self.folder.epoch(progress.epoch))
        self._save(self.folder.last)

    def _log_epoch(self, best: bool) -> None:
        parts = [f"{name} {_readable(name, value)}" for name, value in self._metrics.items()]
        minutes = self.progress.seconds / 60
        log.info(
            "epoch %d/%d  %s  (%.1f min)%s",
            self.progress.epoch,
            len(self._ends),
            "  ".join(parts),
            minutes,
            "  best so far" if best and self.monitor.metric else "",
        )

    def _finish(self) -> None:
        if self.monitor.exhausted:
            log.info(
                "No better %s in %d epochs: stopped early", self.monitor.metric, self.monitor.waited
            )
        if not self.folder.best.exists():
            log.warning(
                "%s was never measured, so the last epoch is kept as the best", self.monitor.metric
            )
            self._save(self.folder.best, whole=False)
        if self.progress.skipped:
            log.warning("%d steps were skipped", self.progress.skipped)
        if not self.data.test:
            return
        content = checkpoint.load(self.folder.best)
        checkpoint.load_weights(self.learner.pipeline, content["state_dict"], self.folder.best)
        values: dict[str, float] = {}
        for name, loader in self.data.test.items():
            evaluation = self._evaluate(name, loader, self.decoders)
            values |= {f"{name}/{key}": value for key, value in evaluation.values().items()}
            self._show.predictions(
                name, evaluation.results, self.progress.epoch, self.progress.step
            )
        self.writer.scalars({**values, "epoch": self.progress.epoch}, self.progress.step)
        log.info("best model  %s", "  ".join(f"{n} {_readable(n, v)}" for n, v in values.items()))

    def _evaluate(self, name: str, loader: SpeechLoader, decoders: Sequence[Decoder]) -> Evaluation:
        device = self.learner.engine.device
        evaluation = evaluate(
            self.learner.pipeline, loader, decoders, self.text_encoder, device, title=name
        )
        for failure in evaluation.failures:
            log.warning("%s: left out: %s", name, failure.reason)
        return evaluation

    def _save(self, path: Any, *, whole: bool = True) -> None:
        if not self.learner.engine.is_main:
            return
        content: dict[str, Any] = {
            "arch": self.recipe["model"]["name"],
            "recipe": {part: dict(options) for part, options in self.recipe.items()},
            "state_dict": self.learner.pipeline.state_dict(),
            "epoch": self.progress.epoch,
            "step": self.progress.step,
            "metrics": dict(self._metrics),
            "config": dict(self.config),
        }
        if whole:
            content["training"] = {
                **self.learner.state(),
                "progress": self.progress.state(),
                "data": self.data.train.fingerprint(),
            }
        checkpoint.save(content, path)


def _readable(name: str, value: float) -> str:
    return f"{100 * value:.2f} %" if "ER_(" in name else f"{value:.3f}"
