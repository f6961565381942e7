"""Scoring a model on the corpora of a run, and showing what it heard."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from src.datasets.loader import SpeechLoader
from src.decoding import Decoder
from src.evaluation import evaluate
from src.text import TextEncoder
from src.trainer.learner import Learner
from src.trainer.progress import Progress
from src.trainer.showing import Showroom

log = logging.getLogger(__name__)


class Validator:
    """Evaluates loaders by name.

    Args:
        decoders: the first is greedy and always used, the others when everything is asked for.
    """

    def __init__(
        self,
        learner: Learner,
        decoders: Sequence[Decoder],
        text_encoder: TextEncoder,
        show: Showroom,
    ) -> None:
        self._learner = learner
        self._decoders = tuple(decoders)
        self._text_encoder = text_encoder
        self._show = show

    def __call__(
        self,
        loaders: Mapping[str, SpeechLoader],
        progress: Progress,
        *,
        everything: bool,
        draw: bool,
    ) -> dict[str, float]:
        """Metrics by their logged names, ``val/WER_(Argmax)``; emissions are drawn on request."""
        values: dict[str, float] = {}
        for name, loader in loaders.items():
            evaluation = evaluate(
                self._learner.pipeline,
                loader,
                self._decoders if everything else self._decoders[:1],
                self._text_encoder,
                self._learner.engine.device,
                title=name,
            )
            for failure in evaluation.failures:
                log.warning("%s: left out: %s", name, failure.reason)
            values |= {f"{name}/{key}": value for key, value in evaluation.values().items()}
            self._show.predictions(name, evaluation.results, progress.epoch, progress.step)
            if draw:
                self._show.emissions(loader, progress.epoch, progress.step)
        return values
