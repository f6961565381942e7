"""What happens after each epoch, and after the last: scoring, drawing, saving."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from deepspeech2.settings import TrainerSettings
from deepspeech2.settings.training import parse_average
from deepspeech2.trainer.checkpoints import Checkpoints
from deepspeech2.trainer.figures import Figures
from deepspeech2.trainer.learner import Learner
from deepspeech2.trainer.microbatches import TrainingData
from deepspeech2.trainer.monitor import EMA, KINDS, MEAN, Monitor, Progress
from deepspeech2.trainer.run_folder import RunSummary
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
        validator: Validator,
        checkpoints: Checkpoints,
        figures: Figures,
        writer: Writer,
        summary: RunSummary,
    ) -> None:
        self.settings = settings
        self.learner = learner
        self.data = data
        self.validate = validator
        self.checkpoints = checkpoints
        self.figures = figures
        self.writer = writer
        self.summary = summary
        self.monitor = Monitor.parse(settings.monitor, settings.early_stop)

    def is_last(self, progress: Progress) -> bool:
        """Whether training ends here: all epochs are finished, or none has been better for long."""
        return progress.epoch >= self.settings.n_epochs or self.monitor.exhausted(progress)

    def finish_epoch(
        self, progress: Progress, losses: Mapping[str, float], should_stop: Callable[[], bool]
    ) -> None:
        """Score, draw and save the epoch whose steps ``progress`` has just taken.

        Args:
            losses: of the epoch's training, by name.

        Raises:
            ValidationStopped: ``should_stop`` was true; nothing has changed.
        """
        # A new best or a bad epoch may end the run, which the metrics decide: the last epoch is
        # scored by every decoder and drawn, whatever the periods are.
        settings, is_main = self.settings, self.learner.engine.is_main
        number = progress.epoch + 1
        last = number == settings.n_epochs
        every_decoder = last or number % settings.decode_period == 0
        draw = is_main and (self.figures.due() or last)
        scores = self._score(progress, should_stop, every_decoder, draw)
        if not last and self._would_end(progress, scores):
            last, draw = True, is_main
            if not every_decoder:
                scores = self._score(progress, should_stop, True, draw)

        # from here on the epoch counts
        progress.epoch = number
        progress.metrics = dict(losses)
        for values in scores.values():
            progress.metrics |= values
        self._log(progress.metrics, progress)
        if draw:
            self.figures.augmentation(self.data.train, number, progress.step)
            self.figures.curves(progress.step)

        # the last checkpoint comes last: a run that is killed before it repeats this epoch's end
        self._keep_best(progress, scores)
        if last or number % settings.save_period == 0:
            self.checkpoints.save(self.checkpoints.epoch(number), progress)
        self.checkpoints.save(self.checkpoints.last, progress)
        self._summarize(progress)

    def finish_run(self, progress: Progress, should_stop: Callable[[], bool]) -> None:
        """Average checkpoints if asked to, then score the best weights on the test corpora.

        Raises:
            CheckpointError: the last or the best checkpoint could not be written.
            ValidationStopped: ``should_stop`` was true.
        """
        monitor, checkpoints, engine = self.monitor, self.checkpoints, self.learner.engine
        if monitor.exhausted(progress):
            log.info("Stopped early: no better %s in %d epochs", monitor.metric, progress.waited)
        if progress.skipped:
            log.warning("%d steps were skipped", progress.skipped)
        self._summarize(progress)

        # what the first rank sees is true: it has written everything
        if not engine.host.objects(checkpoints.best.exists())[0]:
            log.warning(
                "No epoch has left a %s (%s may never have been measured): the last one counts as"
                " the best",
                checkpoints.best.name,
                monitor.metric or "trainer.monitor",
            )
            checkpoints.save(checkpoints.best, progress, whole=False, required=True)
        self._average(progress, should_stop)

        # the other ranks read what the first has written
        engine.barrier()
        values: dict[str, float] = {}
        if self.data.test:
            checkpoints.load_best()
            values = self.validate(self.data.test, progress, should_stop)
            self._log(values, progress)
            log.info("best model  %s", readable(values))
        log.info("Best model: %s", checkpoints.best)
        checkpoints.check_saved()
        self._summarize(progress, finished=True)
        best = {} if progress.best is None else {f"best/{monitor.metric}": progress.best}
        self.writer.result({**best, **values}, checkpoints.best)

    def _score(
        self, progress: Progress, should_stop: Callable[[], bool], every_decoder: bool, draw: bool
    ) -> dict[str, dict[str, float]]:
        """Return the metrics of the plain weights and of their average, if there is one."""
        scores = {}
        for kind in [""] if self.learner.average is None else ["", EMA]:
            with self._weights(kind):
                scores[kind] = self.validate(
                    self.data.validation,
                    progress,
                    should_stop,
                    every_decoder=every_decoder,
                    draw=draw and not kind,
                    kind=kind,
                )
        return scores

    def _weights(self, kind: str) -> AbstractContextManager[None]:
        average = self.learner.average
        return nullcontext() if not kind or average is None else average.applied()

    def _would_end(self, progress: Progress, scores: Mapping[str, Mapping[str, float]]) -> bool:
        """Whether training ends with an epoch of these metrics, because none is better."""
        after, kind = replace(progress), self.monitor.best_kind(scores)
        self.monitor.update(after, scores[kind], kind)
        return self.monitor.exhausted(after)

    def _keep_best(self, progress: Progress, scores: Mapping[str, Mapping[str, float]]) -> None:
        """Save the best kind of weights if it is better than any before."""
        before, kind = progress.best, self.monitor.best_kind(scores)
        is_best = self.monitor.update(progress, scores[kind], kind)
        if is_best:
            best = self.checkpoints.best
            with self._weights(kind):
                saved = self.checkpoints.save(best, progress, whole=False, kind=kind)
            if not self.learner.engine.host.numbers(saved).min():
                progress.best = before  # what is not on the disk is not the best
        remark = ""
        if is_best and self.monitor.metric:
            remark = "  best so far" + (f" ({KINDS[kind]})" if len(scores) > 1 else "")
        log.info(
            "epoch %d/%d  %s  (%.1f min)%s",
            progress.epoch,
            self.settings.n_epochs,
            readable(progress.metrics),
            progress.seconds / 60,
            remark,
        )

    def _average(self, progress: Progress, should_stop: Callable[[], bool]) -> None:
        """Score the mean of saved checkpoints; it becomes the best model if it is better."""
        wanted = parse_average(self.settings.average)
        if wanted is None:
            return
        # the first rank chooses: the others may not see yet what it has written
        engine, checkpoints = self.learner.engine, self.checkpoints
        own = checkpoints.candidates(*wanted, self.monitor) if engine.is_main else []
        paths = engine.host.objects(own)[0]
        if len(paths) < 2:
            log.warning(
                "trainer.average=%s needs at least 2 kept checkpoints, but there are %d: lower"
                " trainer.save_period",
                self.settings.average,
                len(paths),
            )
            return
        checkpoints.load_mean(paths)
        values = self.validate(self.data.validation, progress, should_stop, kind=MEAN)
        self._log(values, progress)
        if engine.is_main:
            self.figures.curves(progress.step)  # again, with the scores of the mean
        monitor = self.monitor
        better = monitor.improves(progress, values, MEAN)
        if better:
            progress.metrics |= values
            better = checkpoints.save(checkpoints.best, progress, whole=False, kind=MEAN)
            if better:
                progress.best = monitor.value(values, MEAN)
        log.info(
            "mean of %d checkpoints  %s  %s",
            len(paths),
            readable(values),
            "better than the best epoch: model_best.pth" if better else "model_best.pth stays",
        )

    def _log(self, values: Mapping[str, float], progress: Progress) -> None:
        self.writer.scalars({**values, "epoch": progress.epoch}, progress.step)

    def _summarize(self, progress: Progress, *, finished: bool = False) -> None:
        if self.learner.engine.is_main:
            self.summary.write(
                self.checkpoints.folder,
                epochs=progress.epoch,
                seconds=progress.seconds,
                best=progress.best,
                finished=finished,
            )


def readable(values: Mapping[str, float]) -> str:
    """``val/WER_(Argmax) 12.34 %  val/loss 0.321``"""
    return "  ".join(
        f"{name} {100 * value:.2f} %" if re.search("/[WC]ER_", name) else f"{name} {value:.3f}"
        for name, value in values.items()
    )
