"""The training loop."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from tqdm import tqdm

from deepspeech2.engine import out_of_memory
from deepspeech2.errors import SpeechError, TrainingError
from deepspeech2.ranks import rank_lost
from deepspeech2.trainer.alarms import Alarms
from deepspeech2.trainer.epoch_end import EpochEnd
from deepspeech2.trainer.guards import NonfiniteGuard
from deepspeech2.trainer.learner import StepResult, count_labels
from deepspeech2.trainer.memory_check import advise, rehearse
from deepspeech2.trainer.meters import Meters
from deepspeech2.trainer.microbatches import Feed, epoch_ends
from deepspeech2.trainer.period import Interval
from deepspeech2.trainer.progress import Progress
from deepspeech2.trainer.reporter import Reporter
from deepspeech2.trainer.signals import GracefulStop
from deepspeech2.trainer.validation import CalledOff, never
from deepspeech2.types import Batch

log = logging.getLogger(__name__)


class Trainer:
    """Trains for the epochs that are left, and leaves what lies between them to ``closing``.

    Attributes:
        progress: how far the run is.
    """

    def __init__(self, closing: EpochEnd) -> None:
        settings, data = closing.settings, closing.data
        self.settings = settings
        self.closing = closing
        self.learner = closing.learner
        self.data = data
        self.folder = closing.folder
        self.progress = Progress()
        self._ends = epoch_ends(
            data.train, settings.n_epochs, settings.epoch_len, settings.accumulate
        )
        self._meters = Meters(self.learner.engine)
        alarms = Alarms(num_workers=data.train.num_workers, cached=data.cached)
        self._reporter = Reporter(self.learner, self._meters, alarms, closing.writer)
        self._guard = NonfiniteGuard(settings.nonfinite_patience)
        self._saving = Interval.parse(settings.save_every, "trainer.save_every")
        self._started = time.perf_counter()

    def start_at(self, progress: Progress, metrics: Mapping[str, float]) -> None:
        """Go on from ``progress``, at which the run had these metrics."""
        self.progress = progress
        self._meters.load(progress.sums)
        self.closing.start_at(progress, metrics)

    def run(self) -> int:
        """Train to the end or until asked to stop; returns the exit status.

        Raises:
            TrainingError: memory does not suffice, or nothing is finite any more.
        """
        self._started = time.perf_counter() - self.progress.seconds
        if not self._done():
            rehearse(self.learner, self.data.train)
            if self.learner.engine.is_main:
                self._reporter.listen(self.data.train)
        with GracefulStop() as stop:
            self.closing.validate.called_off = lambda: stop.requested
            try:
                return self._train(stop) or self._finish(stop)
            except RuntimeError as error:
                if not rank_lost(error):
                    raise
                raise TrainingError(
                    "the connection to another rank is lost, which has ended: see what it printed"
                ) from error
            finally:
                self.closing.validate.called_off = never

    def _done(self) -> bool:
        return self.progress.epoch >= len(self._ends) or self.closing.monitor.exhausted

    def _train(self, stop: GracefulStop) -> int:
        """Epochs to the end; the exit status of an earlier one, or 0."""
        feed = Feed(
            self.data.train,
            self.progress.position,
            self.settings.accumulate,
            whole_epochs=self.settings.epoch_len is None,
        )
        with closing(feed):
            while not self._done():
                try:
                    number = self._epoch(feed, stop)
                except Exception:
                    self._rescue()
                    raise
                if not number:
                    # scoring may take minutes: what was learnt is safe before it starts
                    self._save(self.folder.last)
                    try:
                        self.closing.close(self.progress, self._meters.epoch_loss())
                    except CalledOff:
                        number = self._agree(stop, 0.0)[1]
                if number:
                    return self._end(number)
        number = self._agree(stop, 0.0)[1]  # while the last epoch was closed
        return self._end(number) if number else 0

    def _epoch(self, feed: Feed, stop: GracefulStop) -> int:
        """Steps to the end of the epoch; the number of the signal that ended it before, or 0."""
        progress, end = self.progress, self._ends[self.progress.epoch]
        begin = self._ends[progress.epoch - 1] if progress.epoch else 0
        self.learner.pipeline.train()
        self._meters.start_epoch(resumed=progress.step > begin)
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
            while progress.step < end:
                waiting = time.perf_counter()
                position, batches = feed.take()
                self._meters.wait(time.perf_counter() - waiting)
                n_labels, number = self._agree(stop, count_labels(batches))
                if number:  # these batches are the first of the run that resumes
                    return number
                logs = (progress.step + 1) % self.settings.log_step == 0 or progress.step + 1 == end
                result = self._step(batches, n_labels, logs)
                progress.advance(position)
                bar.update()
                if logs:
                    self._guard.check(progress)
                    self._reporter.report(result, progress, bar)
                if self._saving.due(progress.step):
                    self._save(self.folder.last)
        return 0

    def _agree(self, stop: GracefulStop, n_labels: float) -> tuple[float, int]:
        """Labels in all ranks' batches, and the signal that any of them has got, or 0.

        Signals reach the ranks at different times, and no rank may stop alone.
        """
        everyone = self.learner.engine.host.numbers(n_labels, stop.signal or 0)
        return float(everyone[:, 0].sum()), int(everyone[:, 1].max())

    def _step(self, batches: Sequence[Batch], n_labels: float, look: bool) -> StepResult | None:
        """Learn from ``batches``; None if no rank has anything to learn from."""
        number = self.progress.step
        if not n_labels:
            self.progress.skipped += 1
            self.learner.skip()
            return None
        try:
            result = self.learner.step(batches, number, n_labels=n_labels, look=look)
        except (RuntimeError, MemoryError) as error:
            if out_of_memory(error):
                raise advise(self.data.train) from error
            raise
        self._meters.add(result, batches)
        self._guard.note(number + 1, result.finite, batches)
        return result

    def _finish(self, stop: GracefulStop) -> int:
        """Score the best weights; the exit status."""
        try:
            self.closing.finish(self.progress)
        except CalledOff:  # the network has other weights than the last checkpoint, which is whole
            return self._stopped(self._agree(stop, 0.0)[1])
        return 0

    def _end(self, number: int) -> int:
        """Save because a signal said so; returns the exit status."""
        self._save_now()
        return self._stopped(number)

    def _stopped(self, number: int) -> int:
        # a launcher ends the others once one has ended: not before the file is whole
        self.learner.engine.barrier()
        log.info("Stopped at step %d: trainer.resume_from=auto goes on", self.progress.step)
        return 128 + number

    def _rescue(self) -> None:
        """Save what was learnt before an error ends the run; that error is what counts."""
        if not self.learner.between_steps or self._guard.exhausted(self.progress):
            return
        try:
            self._save_now()
        except (SpeechError, RuntimeError, OSError) as error:
            log.error("What was learnt since the last checkpoint could not be saved: %s", error)
        else:
            log.info("Saved at step %d: trainer.resume_from=auto goes on", self.progress.step)

    def _save_now(self) -> None:
        self._settle()
        self.closing.keeper.save(self.folder.last, self.progress, self.closing.metrics)

    def _settle(self) -> None:
        """Bring the progress up to date for a checkpoint."""
        self._guard.settle(self.progress)
        self.progress.seconds = time.perf_counter() - self._started
        self.progress.sums = self._meters.state()

    def _save(self, path: Path) -> None:
        self._settle()
        self.closing.save(path, self.progress)
        self._saving.done()
