"""Scoring a model on the corpora of a run, and drawing what it recognised."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from deepspeech2.datasets.loader import SpeechLoader
from deepspeech2.decoding import Decoder
from deepspeech2.evaluation import Evaluation, evaluate
from deepspeech2.metrics import Metric
from deepspeech2.text import Tokenizer
from deepspeech2.trainer.figures import Figures
from deepspeech2.trainer.learner import Learner
from deepspeech2.trainer.monitor import Progress

log = logging.getLogger(__name__)


class ValidationStopped(Exception):
    """A validation was asked to stop before its end."""


class Validator:
    """Evaluates loaders by name, each rank its share.

    Args:
        decoders: the first is greedy and always used, the others only when ``every_decoder``.
        metrics: of the user's own, by name.
    """

    def __init__(
        self,
        learner: Learner,
        decoders: Sequence[Decoder],
        text_encoder: Tokenizer,
        figures: Figures,
        metrics: Mapping[str, Metric] | None = None,
    ) -> None:
        self._learner = learner
        self._decoders = tuple(decoders)
        self._text_encoder = text_encoder
        self._figures = figures
        self._metrics = metrics or {}

    def __call__(
        self,
        loaders: Mapping[str, SpeechLoader],
        progress: Progress,
        should_stop: Callable[[], bool],
        *,
        every_decoder: bool = True,
        draw: bool = False,
        kind: str = "",
    ) -> dict[str, float]:
        """Return metrics by their logged names, ``val/WER_(Argmax)``.

        Args:
            should_stop: asked before each batch.
            draw: also draw the emissions of an utterance.
            kind: of the weights: ``_ema`` makes it ``val_ema/WER_(Argmax)``.

        Raises:
            ValidationStopped: on every rank, if any was asked to stop.
        """
        engine = self._learner.engine
        values: dict[str, float] = {}
        for name, loader in loaders.items():
            title = f"{name}{kind}"
            own = evaluate(
                self._learner.pipeline,
                loader,
                self._decoders if every_decoder else self._decoders[:1],
                self._text_encoder,
                title=title if engine.is_main else None,
                should_stop=should_stop,
                pairs=bool(self._metrics),
            )
            whole = Evaluation.merged(engine.host.objects(own))
            if not whole.complete:
                raise ValidationStopped
            whole.measure(self._metrics)
            for failure in whole.failures:
                log.warning("%s: left out: %s", name, failure.reason)
            values |= {f"{title}/{key}": value for key, value in whole.values().items()}
            self._figures.predictions(title, whole.results, progress.epoch, progress.step)
            if draw:
                self._figures.emissions(loader, progress.epoch, progress.step)
        return values
