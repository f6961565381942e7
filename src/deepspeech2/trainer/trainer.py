"""The training loop."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from torch.profiler import record_function
from tqdm import tqdm

from deepspeech2.devices import out_of_memory
from deepspeech2.errors import SpeechError, TrainingError
from deepspeech2.ranks import rank_lost
from deepspeech2.settings import TrainerSettings
from deepspeech2.settings.training import parse_interval
from deepspeech2.trainer.alarms import Alarms
from deepspeech2.trainer.checkpoints import Checkpoints
from deepspeech2.trainer.epoch_end import EpochEnd
from deepspeech2.trainer.learner import Learner, StepResult, count_labels
from deepspeech2.trainer.memory_check import check_memory, memory_ran_out
from deepspeech2.trainer.microbatches import MicroBatches, TrainingData, epoch_ends
from deepspeech2.trainer.monitor import Progress
from deepspeech2.trainer.profiler import StepProfiler
from deepspeech2.trainer.reporter import NonfiniteGuard, Reporter
from deepspeech2.trainer.signals import GracefulStop
from deepspeech2.trainer.validation import ValidationStopped
from deepspeech2.types import Batch
from deepspeech2.writer import Writer

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Interval:
    """Attributes: ``steps`` or ``seconds`` between two times, or neither for never."""

    steps: int | None = None
    seconds: float | None = None
    _last: float = field(default_factory=time.monotonic)

    def due(self, step: int) -> bool:
        """Whether it is time, after ``step`` steps."""
        if self.steps is not None:
            return step % self.steps == 0
        return self.seconds is not None and time.monotonic() - self._last >= self.seconds

    def done(self) -> None:
        """Start to wait again."""
        self._last = time.monotonic()


class Trainer:
    """Trains for the epochs that are left: each is a number of steps and an :class:`EpochEnd`.

    Attributes:
        progress: how far the run is.
    """

    def __init__(
        self,
        settings: TrainerSettings,
        learner: Learner,
        data: TrainingData,
        epoch_end: EpochEnd,
        checkpoints: Checkpoints,
        writer: Writer,
        progress: Progress,
    ) -> None:
        self.settings = settings
        self.learner = learner
        self.data = data
        self.epoch_end = epoch_end
        self.checkpoints = checkpoints
        self.progress = progress
        self._ends = epoch_ends(
            data.train, settings.n_epochs, settings.epoch_len, settings.accumulate
        )
        self._guard = NonfiniteGuard(settings.nonfinite_patience)
        alarms = Alarms(num_workers=data.train.num_workers, cached=data.cached)
        self._reporter = Reporter(learner, alarms, writer)
        self._reporter.load(progress.sums)
        self._saving = Interval(*parse_interval(settings.save_every, "trainer.save_every"))
        self._started = time.perf_counter()

    def run(self) -> int:
        """Train to the end or until a signal asks to stop, return the exit status.

        Raises:
            TrainingError: there is too little memory, or nothing is finite any more.
        """
        # what would end the run later is tried first: memory, and what augmentation does
        self._started = time.perf_counter() - self.progress.seconds
        if not self.epoch_end.is_last(self.progress):
            check_memory(self.learner, self.data.train)
            if self.learner.engine.is_main:
                self._reporter.check_augmentations(self.data.train)
        elif self.learner.engine.is_main:  # of epochs that shared their figures, and are all
            self.epoch_end.figures.curves(self.progress.step)

        with GracefulStop() as stop:
            try:
                number = self._train(stop) or self._finish(stop)
                if number:
                    # a launcher ends the others once one has ended: not before the file is whole
                    self.learner.engine.barrier()
                    log.info(
                        "Stopped at step %d: trainer.resume_from=auto goes on", self.progress.step
                    )
            except RuntimeError as error:
                if not rank_lost(error):
                    raise
                raise TrainingError(
                    "the connection to another rank is lost, which has ended: see what it printed"
                ) from error
        return 128 + number if number else 0

    def _train(self, stop: GracefulStop) -> int:
        """Train the epochs that are left; return the signal that stopped them, or 0."""
        batches = MicroBatches(
            self.data.train,
            self.progress.position,
            self.settings.accumulate,
            whole_epochs=self.settings.epoch_len is None,
        )
        trace = self.checkpoints.folder / "profile" / "trace.json"
        engine = self.learner.engine
        profiled = self.settings.profile and engine.is_main
        self._profiler = StepProfiler(trace if profiled else None, engine.device)
        with closing(batches), closing(self._profiler):
            number = 0
            while not number and not self.epoch_end.is_last(self.progress):
                number = self._epoch(batches, stop) or self._end_epoch(stop)
            number = number or self._agree(stop)[1]  # a signal while the last epoch was scored
            if number:
                self._save(required=True)
        return number

    def _epoch(self, batches: MicroBatches, stop: GracefulStop) -> int:
        """Step to the end of the epoch; return the signal that stopped it before, or 0."""
        progress, end = self.progress, self._ends[self.progress.epoch]
        begin = self._ends[progress.epoch - 1] if progress.epoch else 0
        self.learner.pipeline.train()
        self._reporter.start_epoch(resumed=progress.step > begin)
        bar = tqdm(
            desc=f"epoch {progress.epoch + 1}/{len(self._ends)}",
            total=end - begin,
            initial=progress.step - begin,
            unit="step",
            leave=False,
            dynamic_ncols=True,
            disable=not self.learner.engine.is_main,
        )
        try:
            with bar:
                while progress.step < end:
                    number = self._next_step(batches, stop, end, bar)
                    if number:
                        return number
        except Exception:
            self._rescue()
            raise
        return 0

    def _next_step(
        self, batches: MicroBatches, stop: GracefulStop, end: int, bar: tqdm[Any]
    ) -> int:
        """Take one step, report and save where it is time; return the signal instead, or 0."""
        # the ranks agree on labels and signals in one exchange
        progress = self.progress
        waiting = time.perf_counter()
        with record_function("step: waiting for data"):
            position, taken = batches.take()
        self._reporter.wait(time.perf_counter() - waiting)
        n_labels, number = self._agree(stop, count_labels(taken))
        if number:  # these batches are the first of the run that resumes
            return number

        # only a step that is reported reads what is on the device
        step = progress.step + 1
        reports = step % self.settings.log_step == 0 or step == end
        result = self._step(taken, n_labels, reports)
        progress.advance(position)
        bar.update()
        self._profiler.step()
        if reports:
            self._guard.check(progress)
            self._reporter.report(result, progress, bar)
        if self._saving.due(progress.step):
            self._save()
        return 0

    def _step(self, batches: Sequence[Batch], n_labels: float, look: bool) -> StepResult | None:
        """Learn from ``batches``; return None if no rank has anything to learn from."""
        number = self.progress.step
        if not n_labels:
            self.progress.skipped += 1
            self.learner.skip()
            return None
        try:
            result = self.learner.step(batches, number, n_labels=n_labels, look=look)
        except (RuntimeError, MemoryError) as error:
            if out_of_memory(error):
                raise memory_ran_out(self.data.train) from error
            raise
        self._reporter.add(result, batches)
        self._guard.note(number + 1, result.finite, batches)
        return result

    def _end_epoch(self, stop: GracefulStop) -> int:
        """Score and save the epoch; return the signal that stopped its validation, or 0."""
        self._save()  # scoring may take minutes: what was learnt is safe before it starts
        try:
            losses = self._reporter.epoch_loss()
            self.epoch_end.finish_epoch(self.progress, losses, lambda: stop.requested)
        except ValidationStopped:
            return self._agree(stop)[1]
        return 0

    def _finish(self, stop: GracefulStop) -> int:
        """Score the best weights; return the signal that stopped this, or 0."""
        try:
            self.epoch_end.finish_run(self.progress, lambda: stop.requested)
        except ValidationStopped:
            return self._agree(stop)[1]  # the network has other weights than the last checkpoint
        return 0

    def _agree(self, stop: GracefulStop, n_labels: float = 0.0) -> tuple[float, int]:
        """Return the labels in all ranks' batches, and the signal that any of them got, or 0.

        Signals reach the ranks at different times, and no rank may stop alone.
        """
        everyone = self.learner.engine.host.numbers(n_labels, stop.signal or 0)
        return float(everyone[:, 0].sum()), int(everyone[:, 1].max())

    def _rescue(self) -> None:
        """Save what was learnt before an error ends the run, whatever comes of it."""
        if not self.learner.between_steps or self._guard.exhausted(self.progress):
            return
        try:
            self._save(required=True)
        except (SpeechError, RuntimeError, OSError) as error:
            log.error("What was learnt since the last checkpoint could not be saved: %s", error)
        else:
            log.info("Saved at step %d: trainer.resume_from=auto goes on", self.progress.step)

    def _save(self, *, required: bool = False) -> None:
        """Write the last checkpoint; without ``required`` a full disk is only reported."""
        self._guard.settle(self.progress)
        self.progress.seconds = time.perf_counter() - self._started
        self.progress.sums = self._reporter.state()
        self.checkpoints.save(self.checkpoints.last, self.progress, required=required)
        self._saving.done()
