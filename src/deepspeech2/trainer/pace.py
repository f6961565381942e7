"""How fast a network learns on this machine, from a few steps."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import count

from deepspeech2.datasets.loader import Position, SpeechLoader
from deepspeech2.decoding import Decoder
from deepspeech2.evaluation import evaluate
from deepspeech2.settings import TrainerSettings
from deepspeech2.text import Tokenizer
from deepspeech2.trainer.learner import Learner
from deepspeech2.trainer.microbatches import MicroBatches, TrainingData

_WARM, _TIMED = 2, 6  # steps; machine code is compiled in the first
_SECONDS = 30.0  # after which no further step is timed
_BATCHES = 4  # of a corpus that is validated


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds that training takes on the slowest rank.

    Attributes:
        step: of one step.
        epoch_end: of scoring an epoch.
        run_end: of scoring the run.
    """

    step: float
    epoch_end: float
    run_end: float

    def epochs(self, seconds: float, steps: int) -> int:
        """How many epochs of ``steps`` fit in ``seconds``; 0 if not even one does."""
        return max(0, int((seconds - self.run_end) / (steps * self.step + self.epoch_end)))


def measure_pace(
    learner: Learner,
    data: TrainingData,
    settings: TrainerSettings,
    decoders: Sequence[Decoder],
    text_encoder: Tokenizer,
) -> Pace:
    """Take a few steps, after which the weights of ``learner`` are others, and recognise a little.

    Args:
        decoders: of the validations.
    """
    batches = MicroBatches(
        data.train, Position(0, 0), settings.accumulate, whole_epochs=settings.epoch_len is None
    )
    learner.pipeline.train()
    timed = 0
    with closing(batches):
        started = time.perf_counter()
        for number in range(_WARM + _TIMED):
            learner.step(batches.take()[1], number).total.item()  # waits for the device
            if number < _WARM:
                started = time.perf_counter()
                continue
            timed += 1
            # the ranks stop together
            if learner.engine.host.numbers(time.perf_counter() - started).max() > _SECONDS:
                break
    step = (time.perf_counter() - started) / timed

    def scoring(loaders: Iterable[SpeechLoader]) -> float:
        return sum(_scoring(learner, loader, decoders, text_encoder) for loader in loaders)

    kinds = 1 if learner.average is None else 2  # of weights that are scored
    own = step, kinds * scoring(data.validation.values()), scoring(data.test.values())
    return Pace(*learner.engine.host.numbers(*own).amax(0).tolist())


def _scoring(
    learner: Learner, loader: SpeechLoader, decoders: Sequence[Decoder], text_encoder: Tokenizer
) -> float:
    """Seconds of recognising all that ``loader`` has, from those of its first batches."""
    asked = count()
    started = time.perf_counter()
    evaluate(
        learner.pipeline,
        loader,
        decoders,
        text_encoder,
        title=None,
        should_stop=lambda: next(asked) >= _BATCHES,
    )
    return (time.perf_counter() - started) * max(1.0, len(loader) / _BATCHES)
