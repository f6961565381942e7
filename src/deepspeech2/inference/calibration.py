"""Calibrated confidences: of the words with confidence p the share p is right.

A word's log-odds are divided by a temperature, and a bias may be added (J. Platt, Probabilistic
outputs for support vector machines, 1999; C. Guo et al., On calibration of modern neural
networks, 2017, section 4). ``scripts/calibrate.py`` fits this for each decoder on a development
set and saves it in the checkpoint under ``calibration``.
"""

from __future__ import annotations

import logging
import math
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import Gt
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, FiniteFloat, ValidationError

from deepspeech2.decoding import Decoder, Word, utterance_confidence
from deepspeech2.errors import CheckpointError
from deepspeech2.types import Hypothesis

KEY = "calibration"
"""The key of a checkpoint that contains calibrations by the decoder's name."""

_CERTAIN = 1e-6  # a posterior rounds to 0 or 1 before the network is that sure
_FAR = 1.0  # deviations by which speech may differ from that of the fit without a warning
_BEYOND_CHANCE = 4.0  # standard errors that the difference must have
_SCORING = (
    "lm", "lexicon", "lm_weight", "word_score", "unknown_score", "prior", "prior_weight",
    "beam_size",
)  # fmt: skip
log = logging.getLogger(__name__)


class RawConfidence:
    """Uncalibrated confidences: geometric means of posteriors over the labels."""

    def words(self, words: Sequence[Word]) -> tuple[Word, ...]:
        """Return the same words with the confidences to be reported."""
        return tuple(words)

    def utterance(self, hypothesis: Hypothesis, words: Sequence[Word]) -> float:
        """Return the confidence in all of ``hypothesis``; ``words`` come from :meth:`words`."""
        return utterance_confidence(hypothesis)

    def unlike(self, surety: Sequence[float]) -> str:
        """Return why the confidences may be off for utterances with these values of
        :func:`surety`; empty if they look like those of the fit."""
        return ""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Calibrated confidences: a word's log-odds become ``log-odds / temperature + bias``.

    An utterance's confidence is the mean of its words': the share of them that is expected to be
    right. Without words it is 0.

    Attributes:
        seen: mean and standard deviation of :func:`surety` over the utterances of the fit; None
            if unknown.
    """

    temperature: float
    bias: float = 0.0
    seen: tuple[float, float] | None = None

    def __call__(self, confidences: ArrayLike) -> NDArray[np.float64]:
        """Return (N,) calibrated confidences from (N,) raw ones."""
        scaled = log_odds(confidences) / self.temperature + self.bias
        # the tails of a logistic function without an overflow
        return np.asarray(0.5 * (1.0 + np.tanh(0.5 * scaled)))

    def words(self, words: Sequence[Word]) -> tuple[Word, ...]:
        values = self([word.confidence for word in words]).tolist()
        return tuple(
            replace(word, confidence=value) for word, value in zip(words, values, strict=True)
        )

    def utterance(self, hypothesis: Hypothesis, words: Sequence[Word]) -> float:
        return math.fsum(word.confidence for word in words) / len(words) if words else 0.0

    def unlike(self, surety: Sequence[float]) -> str:
        if self.seen is None or not surety:
            return ""
        mean, deviation = self.seen
        here = math.fsum(surety) / len(surety)
        distance = (here - mean) / max(deviation, _CERTAIN)
        if abs(distance) < _FAR or abs(distance) * math.sqrt(len(surety)) < _BEYOND_CHANCE:
            return ""
        return (
            f"this is unlike the speech that confidences were fitted to (log-odds of {here:.2f} on"
            f" average, {abs(distance):.1f} deviations {'below' if distance < 0 else 'above'} the"
            f" {mean:.2f} there), so that they may be off by several percent: fit them to such"
            " speech with deepspeech2 calibrate"
        )


Confidence = RawConfidence | Calibration


def surety(confidences: Sequence[float]) -> float | None:
    """Return the mean log-odds of an utterance's words; None without words."""
    return float(log_odds(confidences).mean()) if confidences else None


def log_odds(confidences: ArrayLike) -> NDArray[np.float64]:
    """Return ln(p / (1 - p)) of (N,) confidences, finite for 0 and 1 too."""
    values = np.clip(np.asarray(confidences, dtype=np.float64), _CERTAIN, 1 - _CERTAIN)
    return np.asarray(np.log(values) - np.log1p(-values))


class _Saved(BaseModel):
    """What :func:`stored` makes; older checkpoints lack the last two."""

    temperature: Annotated[FiniteFloat, Gt(0)]
    bias: FiniteFloat
    seen: tuple[FiniteFloat, FiniteFloat] | None = None
    decoder: dict[str, Any] = {}


def stored(calibration: Calibration, decoder: Decoder) -> dict[str, Any]:
    """Return plain values for a checkpoint, with the settings that the decoder scored by."""
    seen = None if calibration.seen is None else list(calibration.seen)
    return {**asdict(calibration), "seen": seen, "decoder": _scoring(decoder)}


def restored(content: Mapping[str, Any], path: Path, decoder: Decoder) -> Confidence:
    """Return the confidences of ``decoder`` from the content of the checkpoint ``path``.

    They are raw if it was never calibrated. Logs a warning if weights have changed since the fit.

    Raises:
        CheckpointError: the content is not a calibration.
    """
    saved = content.get(KEY, {})
    entry = saved.get(decoder.name) if isinstance(saved, Mapping) else saved
    if entry is None:
        return RawConfidence()
    try:
        fitted = _Saved.model_validate(entry)
    except ValidationError as error:
        raise CheckpointError(
            f"{path} contains no calibration of {decoder.name} but {reprlib.repr(entry)}: run"
            " deepspeech2 calibrate again"
        ) from error
    before = fitted.decoder
    now = _scoring(decoder)
    if "prior_weight" in now:  # absent from calibrations that are older than the prior
        before.setdefault("prior_weight", 0.0)
    changed = [key for key in _SCORING if key in before and before[key] != now.get(key)]
    if changed:
        differences = ", ".join(
            "another prior" if key == "prior" else f"{key}={before[key]!r} (now {now.get(key)!r})"
            for key in changed
        )
        log.warning(
            "confidences of %s were calibrated with %s: run deepspeech2 calibrate again",
            decoder.name, differences,
        )  # fmt: skip
    return Calibration(fitted.temperature, fitted.bias, fitted.seen)


def _scoring(decoder: Decoder) -> dict[str, Any]:
    """Return the settings on which a decoder's words depend most."""
    scoring = {key: value for key, value in decoder.settings.items() if key in _SCORING}
    if not scoring.get("prior_weight"):
        scoring.pop("prior", None)  # has no effect
    return scoring
