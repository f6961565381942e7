"""What a run says about itself while it trains."""

from __future__ import annotations

import logging
import math
import time
from typing import Any

from tqdm import tqdm

from deepspeech2.datasets.loader import SpeechLoader
from deepspeech2.seeding import generator
from deepspeech2.trainer.alarms import Alarms, Reading, augmentation_idle
from deepspeech2.trainer.learner import Learner, StepResult
from deepspeech2.trainer.logs import IN_FILE
from deepspeech2.trainer.meters import Meters
from deepspeech2.trainer.progress import Progress
from deepspeech2.types import Padded, Sample
from deepspeech2.writer import Writer

log = logging.getLogger(__name__)

UTTERANCES, SECONDS = 8, 4  # that augmentations are tried on


class Reporter:
    """Writes the numbers of a logging step, and says in words what looks wrong."""

    def __init__(self, learner: Learner, meters: Meters, alarms: Alarms, writer: Writer) -> None:
        self._learner = learner
        self._meters = meters
        self._alarms = alarms
        self._writer = writer
        self._started = time.perf_counter()

    def listen(self, loader: SpeechLoader) -> None:
        """Try the augmentations on a few utterances; say which of them change nothing."""
        count = len(loader.dataset)
        items = [loader.dataset[index] for index in range(0, count, max(1, count // UTTERANCES))]
        samples = [item for item in items[:UTTERANCES] if isinstance(item, Sample)]
        if not samples:
            return
        pipeline, device = self._learner.pipeline, self._learner.engine.device
        most = SECONDS * pipeline.front_end.sample_rate
        waveforms = Padded.stack([sample.waveform[:most] for sample in samples]).to(device)
        draw = generator(device, self._learner.seed, "alarm")
        for sentence in augmentation_idle(pipeline.front_end, waveforms, draw):
            log.warning("Alarm: %s", sentence)

    def report(self, result: StepResult | None, progress: Progress, bar: tqdm[Any]) -> None:
        """Report the steps since the last time. A matter of all ranks."""
        values = self._meters.read(self._learner.learning_rate)
        blank_share = None
        if result is not None and result.blank_share is not None:
            blank_share = float(result.blank_share)
        loss = values.get("train/loss", math.nan)
        speed = f"{values['train/audio_seconds_per_second']:.0f}x real time"
        bar.set_postfix_str(f"loss {loss:.3f}, {speed}")
        self._writer.scalars({**values, "epoch": progress.epoch}, progress.step)
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
        reading = Reading(
            step=progress.step,
            seconds=time.perf_counter() - self._started,
            loss=loss if math.isfinite(loss) else None,
            learning_rate=values["train/learning_rate"],
            waiting_share=values["train/waiting_share"],
            blank_share=blank_share,
        )
        for sentence in self._alarms.watch(reading):
            log.warning("Alarm: %s", sentence)
