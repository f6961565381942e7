"""What people look at after an epoch: predictions, spectrograms, emissions, curves, audio."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec

import torch

from deepspeech2.datasets.loader import SpeechLoader
from deepspeech2.evaluation import Recognized
from deepspeech2.metrics import character_edits, word_edits
from deepspeech2.pipeline import Pipeline
from deepspeech2.seeding import derive_seed, generator
from deepspeech2.text import Tokenizer
from deepspeech2.types import Padded, Sample
from deepspeech2.writer import Writer
from deepspeech2.writer.base import Prediction, prediction_table
from deepspeech2.writer.plots import curves, emissions, spectrograms

P = ParamSpec("P")
log = logging.getLogger(__name__)

N_EXAMPLES = 12
SECONDS_BETWEEN_FIGURES = 30.0


def _never_fatal(draw: Callable[P, None]) -> Callable[P, None]:
    """Make ``draw`` log its first error, because no picture is a reason to end a run."""
    faults: list[Exception] = []

    @wraps(draw)
    def drawn(*arguments: P.args, **named: P.kwargs) -> None:
        try:
            draw(*arguments, **named)
        except Exception as error:  # of a drawing library or a recording
            if not faults:
                log.warning("%s could not be drawn, the run goes on: %s", draw.__name__, error)
            faults.append(error)

    return drawn


class Figures:
    """Draws tables, pictures and audio with a writer.

    Figures take a second or two, so epochs that follow each other faster than every
    ``SECONDS_BETWEEN_FIGURES`` share them; tables of predictions are written every time.
    """

    def __init__(
        self,
        writer: Writer,
        pipeline: Pipeline,
        text_encoder: Tokenizer,
        metrics_path: Path,
        seed: int,
    ) -> None:
        self._writer = writer
        self._pipeline = pipeline
        self._tokens = text_encoder.tokens
        self._metrics_path = metrics_path
        self._seed = seed
        self._drawn_at = float("-inf")

    def due(self) -> bool:
        """Whether it is time for figures; if so, the next are due a while later."""
        now = time.monotonic()
        if now - self._drawn_at < SECONDS_BETWEEN_FIGURES:
            return False
        self._drawn_at = now
        return True

    @_never_fatal
    def predictions(self, part: str, results: list[Recognized], epoch: int, step: int) -> None:
        """Write a table of a few utterances, other ones in each epoch."""
        draw = generator("cpu", self._seed, "examples", epoch)
        order = torch.randperm(len(results), generator=draw)[:N_EXAMPLES]
        rows = [_prediction(results[index]) for index in sorted(order.tolist())]
        self._writer.table(f"examples/{part}", prediction_table(rows), step)

    @_never_fatal
    def curves(self, step: int) -> None:
        """Draw the logged metrics over the steps."""
        for name, figure in curves(self._metrics_path).items():
            self._writer.figure(name, figure, step)

    @_never_fatal
    def augmentation(self, loader: SpeechLoader, epoch: int, step: int) -> None:
        """Draw and play a training utterance as recorded and as augmented."""
        waveforms, device = self._sample(loader, epoch), self._pipeline.device
        if waveforms is None:
            return
        front_end, seed = self._pipeline.front_end, derive_seed(self._seed, "shown", epoch)
        moved = waveforms.to(device)
        augmented = front_end.augment(moved, torch.Generator(device).manual_seed(seed))
        before = front_end(moved)
        after = front_end(moved, torch.Generator(device).manual_seed(seed))
        rows = [
            ("features", before.data[0].cpu().numpy()),
            ("features as augmented", after.data[0, : int(after.lengths[0])].cpu().numpy()),
        ]
        figure = spectrograms(rows, front_end.seconds_per_frame)
        self._writer.figure("spectrograms", figure, step)
        for name, shown in (("train/audio", waveforms), ("train/audio_augmented", augmented)):
            wave = shown.data[0, : int(shown.lengths[0])].cpu().numpy()
            self._writer.audio(name, wave, front_end.sample_rate, step)

    @_never_fatal
    @torch.no_grad()
    def emissions(self, loader: SpeechLoader, epoch: int, step: int) -> None:
        """Draw the emissions of an utterance that the network does not train on."""
        waveforms = self._sample(loader, epoch)
        if waveforms is None:
            return
        was_training = self._pipeline.training
        self._pipeline.eval()
        try:
            log_probs = self._pipeline.emissions(waveforms.to(self._pipeline.device))
        finally:
            self._pipeline.train(was_training)
        figure = emissions(
            log_probs.data[0].float().cpu().numpy(), self._tokens, self._pipeline.seconds_per_frame
        )
        self._writer.figure("emissions", figure, step)

    def _sample(self, loader: SpeechLoader, epoch: int) -> Padded | None:
        """Return a readable utterance, another in each epoch; None if it happens to be broken."""
        index = derive_seed(self._seed, "sample", epoch) % len(loader.dataset)
        item = loader.dataset[index]
        return Padded.stack([item.waveform]) if isinstance(item, Sample) else None


def _prediction(result: Recognized) -> Prediction:
    texts = {name: nbest[0].text for name, nbest in result.hypotheses.items()}
    reference = result.reference
    known = {} if reference is None else texts
    return Prediction(
        result.utterance.id,
        reference,
        texts,
        {name: word_edits(reference or "", text).rate for name, text in known.items()},
        {name: character_edits(reference or "", text).rate for name, text in known.items()},
    )
