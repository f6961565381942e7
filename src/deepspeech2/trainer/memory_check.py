"""The largest batch first: memory runs out in the first minute or never."""

from __future__ import annotations

import logging
import math

from deepspeech2.datasets.dataset import collate
from deepspeech2.datasets.loader import SpeechLoader
from deepspeech2.devices import out_of_memory
from deepspeech2.errors import TrainingError
from deepspeech2.trainer.learner import Learner
from deepspeech2.types import Batch

log = logging.getLogger(__name__)

_MARGIN = 0.9  # of what a trial run fitted: allocators need some room


def check_memory(learner: Learner, loader: SpeechLoader) -> None:
    """Run the largest batch of the first epoch forward and backward; nothing is learnt.

    Raises:
        TrainingError: there is too little memory; proposes a ``max_batch_duration`` that fits.
    """
    # utterances of this rank's batch with most audio, padding counted
    loader.check_ranks()
    durations, batches = loader.sampler.durations, loader.sampler.batches(0)
    indices: list[int] = max(batches, key=lambda each: len(each) * durations[each].max()).tolist()
    batch = collate([loader.dataset[index] for index in indices])
    failure = _rehearse(learner, batch)
    if failure is not None:
        # A rank alone cannot try again: in the middle of a step the others wait for it.
        alone = learner.engine.world_size == 1
        fitting = _fitting(learner, loader, indices) if alone else None
        raise _too_large(batch, loader, fitting) from failure
    log.info(
        "The largest batch fits: %d utterances, %.0f s with padding, %.1f GiB so far",
        len(batch),
        batch.padded_duration,
        learner.engine.peak_memory(),
    )


def memory_ran_out(loader: SpeechLoader) -> TrainingError:
    """Return the error for memory that runs out in mid-training, where nothing can be tried."""
    limit = loader.sampler.max_batch_duration
    return TrainingError(
        f"memory ran out with dataloader.max_batch_duration={limit:g}: go on from the last"
        f" checkpoint's weights with dataloader.max_batch_duration={_rounded(0.8 * limit):g}"
        " (trainer.from_pretrained), or free memory and resume (trainer.resume_from=auto)"
    )


def _rehearse(learner: Learner, batch: Batch) -> Exception | None:
    """Return the error if memory ran out, without its traceback, whose frames keep memory."""
    try:
        learner.rehearse(batch)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        return error.with_traceback(None)
    return None


def _fitting(learner: Learner, loader: SpeechLoader, indices: list[int]) -> float | None:
    """Return seconds of padded audio that fit, found by halving; None if not one utterance."""
    while len(indices) > 1:
        indices = indices[: len(indices) // 2]
        learner.engine.release_memory()
        batch = collate([loader.dataset[index] for index in indices])
        if _rehearse(learner, batch) is None:
            return batch.padded_duration
    return None


def _too_large(batch: Batch, loader: SpeechLoader, fitting: float | None) -> TrainingError:
    needed = (
        f"memory does not suffice for a batch of {len(batch)} utterances"
        f" ({batch.padded_duration:.0f} s with padding)"
    )
    if len(batch) > 1:
        limit = loader.sampler.max_batch_duration
        proposal = _rounded(_MARGIN * fitting if fitting else limit / 2)
        fitted = f", {fitting:.0f} s fitted" if fitting else ""
        return TrainingError(f"{needed}{fitted}: set dataloader.max_batch_duration={proposal:g}")
    longest = max((utterance.duration for utterance in batch.utterances), default=0.0)
    return TrainingError(
        f"{needed}: leave out such long ones with datasets.train.max_audio_length="
        f"{_rounded(longest / 2):g}, or choose a smaller model"
    )


def _rounded(seconds: float) -> float:
    """Round down to two leading digits, as people write numbers."""
    unit = 10.0 ** (math.floor(math.log10(seconds)) - 1)
    return round(math.floor(seconds / unit + 1e-9) * unit, 9)
