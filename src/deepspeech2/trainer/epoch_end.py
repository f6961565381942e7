"""What happens between two epochs, and after the last: scoring, showing, keeping."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

from deepspeech2 import checkpoint
from deepspeech2.errors import CheckpointError
from deepspeech2.settings import TrainerSettings
from deepspeech2.settings.training import parse_average
from deepspeech2.trainer.averaging import mean_weights
from deepspeech2.trainer.checkpoints import Keeper
from deepspeech2.trainer.figures import Showroom
from deepspeech2.trainer.learner import Learner
from deepspeech2.trainer.microbatches import TrainingData
from deepspeech2.trainer.monitor import Monitor
from deepspeech2.trainer.naming import EMA, MEAN, NAMES, plain_names, readable
from deepspeech2.trainer.progress import Progress
from deepspeech2.trainer.run_folder import RunFacts, RunFolder
from deepspeech2.trainer.validation import Validator
from deepspeech2.writer import Writer

log = logging.getLogger(__name__)


class EpochEnd:
    """Scores plain and averaged weights, keeps checkpoints and the best weights."""

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
        facts: RunFacts,
    ) -> None:
        self.settings = settings
        self.learner = learner
        self.data = data
        self.validate = validate
        self.keeper = keeper
        self.show = show
        self.folder = folder
        self.writer = writer
        self.facts = facts
        self.monitor = Monitor.parse(settings.monitor, settings.early_stop)
        self.metrics: dict[str, float] = {}
        self._unsaved: dict[Path, CheckpointError] = {}

    def start_at(self, progress: Progress, metrics: Mapping[str, float]) -> None:
        self.monitor.best, self.monitor.waited = progress.best, progress.waited
        self.metrics = dict(metrics)

    def close(self, progress: Progress, losses: Mapping[str, float]) -> None:
        """Score, show and keep the epoch that ``progress`` has just finished.

        Args:
            losses: of the epoch's training, by name.

        Raises:
            CalledOff: by ``validate``; nothing has changed.
        """
        settings = self.settings
        number = progress.epoch + 1
        last = number == settings.n_epochs
        draw = self.learner.engine.is_main and (self.show.due() or last)
        everything = last or number % settings.decode_period == 0
        found = self._score(progress, everything=everything, draw=draw)
        if not last and self._would_end(found):
            last, draw = True, self.learner.engine.is_main
            if not everything:  # the last epoch is scored with every decoder
                found = self._score(progress, everything=True, draw=draw)
        progress.epoch = number
        values = {**losses}
        for scores in found.values():
            values |= scores
        self.writer.scalars({**values, "epoch": number}, progress.step)
        if draw:
            self.show.augmentation(self.data.train, number, progress.step)
            self.show.curves(progress.step)
        self.metrics = values
        self._choose(found, values, progress)
        if number % settings.save_period == 0 or last:
            self.save(self.folder.epoch(number), progress)
        self.save(self.folder.last, progress)
        self._summarize(progress)

    def _summarize(self, progress: Progress) -> None:
        if self.learner.engine.is_main:
            self.folder.summarize(self.facts, epochs=progress.epoch, seconds=progress.seconds)

    def _score(
        self, progress: Progress, *, everything: bool, draw: bool
    ) -> dict[str, dict[str, float]]:
        """Metrics of the plain weights and of their average, if there is one."""
        found = {}
        for kind in [""] if self.learner.average is None else ["", EMA]:
            with self._weights(kind):
                found[kind] = self.validate(
                    self.data.validation,
                    progress,
                    everything=everything,
                    draw=draw and not kind,
                    kind=kind,
                )
        return found

    def _would_end(self, found: Mapping[str, Mapping[str, float]]) -> bool:
        """Whether training ends with an epoch of these metrics, for want of better ones."""
        scores = {kind: plain_names(each, kind) for kind, each in found.items()}
        after = replace(self.monitor)
        after.update(scores[after.favourite(scores)])
        return after.exhausted

    def _choose(
        self,
        found: Mapping[str, Mapping[str, float]],
        values: Mapping[str, float],
        progress: Progress,
    ) -> None:
        """Keep the best kind of weights if it is better than any before."""
        monitor = self.monitor
        scores = {kind: plain_names(each, kind) for kind, each in found.items()}
        kind = monitor.favourite(scores)
        before = monitor.best
        best = monitor.update(scores[kind])
        if best:
            with self._weights(kind):
                saved = self.save(self.folder.best, progress, whole=False, kind=NAMES[kind])
            if not self.learner.engine.host.numbers(saved).min():
                monitor.best = before  # what is not on the disk is not the best
        progress.best, progress.waited = monitor.best, monitor.waited
        remark = ""
        if best and monitor.metric:
            remark = "  best so far" + (f" ({NAMES[kind]})" if len(found) > 1 else "")
        log.info(
            "epoch %d/%d  %s  (%.1f min)%s",
            progress.epoch,
            self.settings.n_epochs,
            readable(values),
            progress.seconds / 60,
            remark,
        )

    def finish(self, progress: Progress) -> None:
        """Average checkpoints if asked to, then score the best weights on the test corpora.

        Raises:
            CheckpointError: the last or the best checkpoint could not be written.
        """
        monitor = self.monitor
        if monitor.exhausted:
            log.info("Stopped early: no better %s in %d epochs", monitor.metric, monitor.waited)
        self._summarize(progress)
        engine = self.learner.engine
        # what the first rank sees is true: it has written everything
        if not engine.host.objects(self.folder.best.exists())[0]:
            log.warning(
                "No epoch has left a %s (%s may never have been measured): the last one counts as"
                " the best",
                self.folder.best.name,
                monitor.metric or "trainer.monitor",
            )
            self.keeper.save(self.folder.best, progress, self.metrics, whole=False)
        self._average(progress)
        engine.barrier()  # the others read what the first has written
        if engine.is_main:
            self.show.curves(progress.step)
        if progress.skipped:
            log.warning("%d steps were skipped", progress.skipped)
        if self.data.test:
            content = checkpoint.load(self.folder.best)
            checkpoint.load_weights(self.learner.pipeline, content["state_dict"], self.folder.best)
            values = self.validate(self.data.test, progress, everything=True, draw=False)
            self.writer.scalars({**values, "epoch": progress.epoch}, progress.step)
            log.info("best model  %s", readable(values))
        log.info("Best model: %s", self.folder.best)
        for path in (self.folder.last, self.folder.best):
            if path in self._unsaved:
                raise self._unsaved[path]

    def _average(self, progress: Progress) -> None:
        """Score the mean of kept checkpoints; it becomes the best model if it is better."""
        wanted = parse_average(self.settings.average)
        if wanted is None:
            return
        engine = self.learner.engine
        # the first rank chooses: the others may not see yet what it has written
        paths = engine.host.objects(self._candidates(*wanted) if engine.is_main else [])[0]
        if len(paths) < 2:
            log.warning(
                "trainer.average=%s needs at least 2 kept checkpoints, but there are %d: lower"
                " trainer.save_period",
                self.settings.average,
                len(paths),
            )
            return
        checkpoint.load_weights(self.learner.pipeline, mean_weights(paths), paths[0])
        values = self.validate(
            self.data.validation, progress, everything=True, draw=False, kind=MEAN
        )
        self.writer.scalars({**values, "epoch": progress.epoch}, progress.step)
        better = self.monitor.improves(plain_names(values, MEAN))
        if better:
            self.metrics |= values
            better = self.save(self.folder.best, progress, whole=False, kind=NAMES[MEAN])
        log.info(
            "mean of %d checkpoints  %s  %s",
            len(paths),
            readable(values),
            "better than the best epoch: model_best.pth" if better else "model_best.pth stays",
        )

    def _candidates(self, which: str, number: int) -> list[Path]:
        """The kept checkpoints that are averaged, the latest or the best first."""
        rated = []
        for path in self.folder.epochs():
            content = checkpoint.load(path)
            cost = self.monitor.cost(content.get("metrics", {})) if which == "best" else 0.0
            if math.isfinite(cost):  # an epoch without the metric is not among the best
                rated.append((cost, -content["epoch"], path))
        return [path for _, _, path in sorted(rated)[:number]]

    def save(
        self, path: Path, progress: Progress, *, whole: bool = True, kind: str = NAMES[""]
    ) -> bool:
        """Write a checkpoint; a full disk is reported, but does not end a run that may go on.

        Returns:
            Whether it was written.
        """
        try:
            self.keeper.save(path, progress, self.metrics, whole=whole, kind=kind)
        except CheckpointError as error:
            log.error("%s; training goes on", error)
            self._unsaved[path] = error
            return False
        self._unsaved.pop(path, None)
        return True

    def _weights(self, kind: str) -> AbstractContextManager[None]:
        average = self.learner.average
        return nullcontext() if not kind or average is None else average.applied()
