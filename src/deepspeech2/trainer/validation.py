"""Scoring a model on the corpora of a run, and showing what it heard."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from deepspeech2.datasets.loader import SpeechLoader
from deepspeech2.decoding import Decoder
from deepspeech2.evaluation import Evaluation, evaluate
from deepspeech2.text import TextEncoder
from deepspeech2.trainer.figures import Showroom
from deepspeech2.trainer.learner import Learner
from deepspeech2.trainer.progress import Progress

log = logging.getLogger(__name__)


class CalledOff(Exception):
    """A validation was asked to end before its end."""


def never() -> bool:
    return False


class Validator:
    """Evaluates loaders by name, each rank its share.

    Args:
        decoders: the first is greedy and always used, the others when everything is asked for.

    Attributes:
        called_off: asked again and again while it works; true ends it with :class:`CalledOff`.
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
        self.called_off: Callable[[], bool] = never

    def __call__(
        self,
        loaders: Mapping[str, SpeechLoader],
        progress: Progress,
        *,
        everything: bool,
        draw: bool,
        kind: str = "",
    ) -> dict[str, float]:
        """Metrics by their logged names, ``val/WER_(Argmax)``; emissions are drawn on request.

        Args:
            kind: of the weights: ``_ema`` makes it ``val_ema/WER_(Argmax)``.

        Raises:
            CalledOff: on every rank, if any was asked to end.
        """
        values: dict[str, float] = {}
        for name, loader in loaders.items():
            evaluation = self._evaluate(loader, f"{name}{kind}", everything)
            for failure in evaluation.failures:
                log.warning("%s: left out: %s", name, failure.reason)
            found = evaluation.values()
            values |= {f"{name}{kind}/{key}": value for key, value in found.items()}
            self._show.predictions(
                f"{name}{kind}", evaluation.results, progress.epoch, progress.step
            )
            if draw:
                self._show.emissions(loader, progress.epoch, progress.step)
        return values

    def _evaluate(self, loader: SpeechLoader, title: str, everything: bool) -> Evaluation:
        engine = self._learner.engine
        own = evaluate(
            self._learner.pipeline,
            loader,
            self._decoders if everything else self._decoders[:1],
            self._text_encoder,
            engine.device,
            title=title if engine.is_main else None,
            called_off=self.called_off,
        )
        whole = Evaluation.merged(engine.host.objects(own))
        if not whole.complete:
            raise CalledOff
        return whole
