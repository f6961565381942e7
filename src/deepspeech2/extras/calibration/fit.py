"""Fit calibrations of confidences to what was recognised of a development set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from deepspeech2.datasets.loader import SpeechLoader
from deepspeech2.decoding import words
from deepspeech2.errors import ManifestError
from deepspeech2.evaluation import Recognized, evaluate
from deepspeech2.inference.calibration import Calibration, log_odds, surety
from deepspeech2.inference.recognizer import Recognizer
from deepspeech2.metrics.calibration import negative_log_likelihood, right_words
from deepspeech2.metrics.edits import word_edits
from deepspeech2.types import Failure

_STEEPEST = 100.0  # inverse temperatures lie between this and its inverse
_STEPS = 100
_CLOSE = 1e-10  # of a step


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one decoder made of an utterance that has a reference.

    Attributes:
        group: its speaker, or its id if that is unknown.
        errors, reference_words: of its WER.
        confidences: (N,) of its words, uncalibrated.
        right: (N,) which of them are right.
    """

    group: str
    errors: int
    reference_words: int
    confidences: tuple[float, ...]
    right: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Fit:
    """A calibration and its cross-validation.

    Attributes:
        chosen: temperature alone, or with a bias, whichever predicts held-out words better.
        losses: nats a word of held-out words: ``raw``, ``temperature``, ``with bias``.
        held_out: (N,) the confidence of each word as fitted on the other folds.
    """

    chosen: Calibration
    losses: dict[str, float]
    held_out: NDArray[np.float64]


def judge(
    recognizer: Recognizer, loader: SpeechLoader, title: str
) -> tuple[dict[str, list[Judgement]], list[Failure]]:
    """Recognise a corpus in which every utterance has a reference.

    Args:
        title: of the progress bar.

    Returns:
        By decoder, how each utterance compares with its reference; and what could not be read.
    """
    judged: dict[str, list[Judgement]] = {decoder.name: [] for decoder in recognizer.decoders}

    def compare(result: Recognized) -> None:
        reference = result.reference or ""
        for name, judgements in judged.items():
            best = result.hypotheses[name][0]
            timed = words(best, recognizer.seconds_per_frame, text_encoder=recognizer.text_encoder)
            judgements.append(
                Judgement(
                    result.utterance.speaker or result.utterance.id,
                    word_edits(reference, best.text).errors,
                    len(reference.split()),
                    tuple(word.confidence for word in timed),
                    tuple(right_words(reference, best.text)),
                )
            )

    evaluation = evaluate(
        recognizer.pipeline,
        loader,
        recognizer.decoders,
        recognizer.text_encoder,
        title=title,
        on_result=compare,
    )
    return judged, evaluation.failures


def fit(judged: Sequence[Judgement], folds: int = 5) -> Fit:
    """Fit temperature, with and without bias, and choose what predicts other speakers better.

    Raises:
        ManifestError: there are fewer utterances with words than ``folds``.
    """
    spoken = [each for each in judged if each.confidences]
    if len(spoken) < folds:
        raise ManifestError(
            f"{len(spoken)} utterances with words are too few to calibrate with"
            f" calibrator.folds={folds}: name more in datasets, or a model that hears more"
        )
    values = np.concatenate([each.confidences for each in spoken])
    right = np.concatenate([each.right for each in spoken])
    fold = np.repeat(_folds(spoken, folds), [len(each.confidences) for each in spoken])
    raw = Calibration(1.0)
    held_out = {"raw": raw(values), "temperature": raw(values), "with bias": raw(values)}
    for index in range(folds):
        here = fold == index
        for name, bias in (("temperature", False), ("with bias", True)):
            made = scale(values[~here], right[~here], bias=bias)
            held_out[name][here] = made(values[here])
    losses = {name: negative_log_likelihood(each, right) for name, each in held_out.items()}
    better = min(("temperature", "with bias"), key=losses.__getitem__)
    chosen = scale(values, right, bias=better == "with bias")
    sure = np.array([surety(chosen(each.confidences).tolist()) for each in spoken], np.float64)
    chosen = replace(chosen, seen=(float(sure.mean()), float(sure.std())))
    return Fit(chosen, losses, held_out[better])


def scale(confidences: NDArray[np.float64], right: NDArray[np.bool_], *, bias: bool) -> Calibration:
    """Return the most likely temperature, and bias if asked for, of (N,) words.

    Targets are drawn in from 0 and 1 as in Platt 1999, section 2.2, so that there is an answer
    even if all words are right.
    """
    hits = int(right.sum())
    high, low = (hits + 1) / (hits + 2), 1 / (len(right) - hits + 2)
    targets = np.where(right, high, low)
    odds = log_odds(confidences)
    ones = np.ones_like(odds)
    inputs = np.stack([odds, ones] if bias else [odds])
    weights = [*_regression(inputs, targets, odds), 0.0]
    slope, offset = 1 + weights[0], weights[1]
    if not 1 / _STEEPEST <= slope <= _STEEPEST:
        # the likelihood is concave: if its peak is outside, the best is on the border
        slope = float(np.clip(slope, 1 / _STEEPEST, _STEEPEST))
        offset = _regression(ones[None], targets, slope * odds)[0] if bias else 0.0
    return Calibration(1 / slope, offset)


def _regression(
    inputs: NDArray[np.float64], targets: NDArray[np.float64], base: NDArray[np.float64]
) -> list[float]:
    """Return the weights of ``inputs`` (K, N) by which ``base + weights @ inputs``, as log-odds of
    ``targets`` (N,), have the least cross entropy, by damped Newton steps."""

    def loss(weights: NDArray[np.float64]) -> float:
        scores = base + weights @ inputs
        return float((np.logaddexp(0.0, scores) - targets * scores).mean())

    weights = np.zeros(len(inputs))
    for _ in range(_STEPS):
        predicted = 0.5 * (1 + np.tanh(0.5 * (base + weights @ inputs)))
        gradient = inputs @ (predicted - targets) / len(targets)
        curvature = (inputs * (predicted * (1 - predicted))) @ inputs.T / len(targets)
        step = np.linalg.solve(curvature + 1e-12 * np.eye(len(inputs)), gradient)
        length = 1.0
        while length > _CLOSE and loss(weights - length * step) > loss(weights):
            length /= 2
        weights = weights - length * step
        if np.abs(length * step).max() < _CLOSE:
            break
    return [float(weight) for weight in weights]


def _folds(judged: Sequence[Judgement], folds: int) -> list[int]:
    """Return the fold of each utterance; speakers stay together if there are enough of them."""
    names = [each.group for each in judged]
    if len(set(names)) < folds:
        names = [f"{each.group}\n{index}" for index, each in enumerate(judged)]
    ordered = sorted(set(names), key=lambda name: blake2b(name.encode()).digest())
    place = {name: index % folds for index, name in enumerate(ordered)}
    return [place[name] for name in names]
