"""Confidences that mean what they say: of words with confidence p the share p is right.

A word's log-odds are divided by a temperature, and a bias may be added (J. Platt, Probabilistic
outputs for support vector machines, 1999; C. Guo et al., On calibration of modern neural
networks, 2017, section 4). Each decoder has its own, fitted on a development set by
``scripts/calibrate.py`` and kept in the checkpoint under ``calibration``.
"""

from __future__ import annotations

import logging
import math
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepspeech2.decoding import Decoder, Word, utterance_confidence
from deepspeech2.errors import CheckpointError
from deepspeech2.types import Hypothesis

KEY = "calibration"
"""Where a checkpoint keeps them, by the decoder's name."""

_CERTAIN = 1e-6  # a posterior rounds to 0 or 1 before the network is that sure
_FAR = 1.0  # deviations by which speech may differ from that of the fit without a word
_BEYOND_CHANCE = 4.0  # standard errors that the difference must have
_SCORING = (
    "lm", "lexicon", "lm_weight", "word_score", "unknown_score", "prior", "prior_weight",
    "beam_size",
)  # fmt: skip
log = logging.getLogger(__name__)


class Confidence(Protocol):
    """How sure a recogniser says it is."""

    def words(self, words: Sequence[Word]) -> tuple[Word, ...]:
        """The same words with the confidences that are told."""
        ...

    def utterance(self, hypothesis: Hypothesis, words: Sequence[Word]) -> float:
        """The confidence in all of ``hypothesis``, whose ``words`` come from :meth:`words`."""
        ...

    def unlike(self, heard: Sequence[float]) -> str:
        """Why the confidences may mean less for utterances with these values of :func:`surety`;
        empty if nothing speaks for that."""
        ...


class RawConfidence:
    """Posteriors as they are: geometric means over the labels."""

    def words(self, words: Sequence[Word]) -> tuple[Word, ...]:
        return tuple(words)

    def utterance(self, hypothesis: Hypothesis, words: Sequence[Word]) -> float:
        return utterance_confidence(hypothesis)

    def unlike(self, heard: Sequence[float]) -> str:
        return ""


@dataclass(frozen=True, slots=True)
class Calibration:
    """A word's log-odds become ``log-odds / temperature + bias``.

    An utterance's confidence is the mean of its words': the share of them that is expected to be
    right. One without words has confidence 0, for nothing is known of it.

    Attributes:
        seen: mean and standard deviation of :func:`surety` over the utterances of the fit; None
            where that was not noted.
    """

    temperature: float
    bias: float = 0.0
    seen: tuple[float, float] | None = None

    def __call__(self, confidences: ArrayLike) -> NDArray[np.float64]:
        """(N,) calibrated confidences of (N,) raw ones."""
        scaled = log_odds(confidences) / self.temperature + self.bias
        # the tails of a logistic function without an overflow
        return np.asarray(0.5 * (1.0 + np.tanh(0.5 * scaled)))

    def words(self, words: Sequence[Word]) -> tuple[Word, ...]:
        told = self([word.confidence for word in words]).tolist()
        return tuple(
            replace(word, confidence=value) for word, value in zip(words, told, strict=True)
        )

    def utterance(self, hypothesis: Hypothesis, words: Sequence[Word]) -> float:
        return math.fsum(word.confidence for word in words) / len(words) if words else 0.0

    def unlike(self, heard: Sequence[float]) -> str:
        if self.seen is None or not heard:
            return ""
        mean, deviation = self.seen
        found = math.fsum(heard) / len(heard)
        distance = (found - mean) / max(deviation, _CERTAIN)
        if abs(distance) < _FAR or abs(distance) * math.sqrt(len(heard)) < _BEYOND_CHANCE:
            return ""
        return (
            f"this is unlike the speech that confidences were fitted to (log-odds of {found:.2f} on"
            f" average, {abs(distance):.1f} deviations {'below' if distance < 0 else 'above'} the"
            f" {mean:.2f} there), so that they may be off by several percent: fit them to such"
            " speech with scripts/calibrate.py"
        )


def surety(confidences: Sequence[float]) -> float | None:
    """How sure an utterance's words are on average, in log-odds; None without words."""
    return float(log_odds(confidences).mean()) if confidences else None


def log_odds(confidences: ArrayLike) -> NDArray[np.float64]:
    """ln(p / (1 - p)) of (N,) confidences, finite for 0 and 1 too."""
    values = np.clip(np.asarray(confidences, dtype=np.float64), _CERTAIN, 1 - _CERTAIN)
    return np.asarray(np.log(values) - np.log1p(-values))


def stored(calibration: Calibration, decoder: Decoder) -> dict[str, Any]:
    """Plain values for a checkpoint, with what the decoder scored by when it was fitted."""
    seen = None if calibration.seen is None else list(calibration.seen)
    return {**asdict(calibration), "seen": seen, "decoder": _scoring(decoder)}


def restored(content: Mapping[str, Any], path: Path, decoder: Decoder) -> Confidence:
    """What the checkpoint ``path`` with this ``content`` keeps for ``decoder``; raw if nothing.

    Weights that were changed since the fit are warned of.

    Raises:
        CheckpointError: what it keeps is no calibration.
    """
    kept = content.get(KEY, {})
    found = kept.get(decoder.name) if isinstance(kept, Mapping) else kept
    if found is None:
        return RawConfidence()
    try:
        temperature, bias = float(found["temperature"]), float(found["bias"])
        before = dict(found.get("decoder", {}))
        seen = found.get("seen")  # absent in older ones
        if seen is not None:
            mean, deviation = map(float, seen)
            seen = (mean, deviation)
    except (TypeError, KeyError, ValueError, AttributeError):
        temperature, bias, before, seen = math.nan, 0.0, {}, None
    if not (0 < temperature < math.inf and all(map(math.isfinite, (bias, *(seen or ()))))):
        raise CheckpointError(
            f"{path} holds no calibration of {decoder.name} but {reprlib.repr(found)}: run"
            " scripts/calibrate.py again"
        )
    now = _scoring(decoder)
    if "prior_weight" in now:  # one that was fitted before there was a prior knew of none
        before.setdefault("prior_weight", 0.0)
    changed = [key for key in _SCORING if key in before and before[key] != now.get(key)]
    if changed:
        told = ", ".join(
            "another prior" if key == "prior" else f"{key}={before[key]!r} (now {now.get(key)!r})"
            for key in changed
        )
        log.warning(
            "confidences of %s were calibrated with %s: run scripts/calibrate.py again",
            decoder.name, told,
        )  # fmt: skip
    return Calibration(temperature, bias, seen)


def _scoring(decoder: Decoder) -> dict[str, Any]:
    """The settings on which the words that are found depend most."""
    found = {key: value for key, value in decoder.settings.items() if key in _SCORING}
    if not found.get("prior_weight"):
        found.pop("prior", None)  # has no effect
    return found
