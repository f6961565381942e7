"""How well confidences are calibrated, as numbers, as text and as files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepspeech2.extras.calibration.measure import Judged
from deepspeech2.extras.calibration.plot import reliability
from deepspeech2.inference.calibration import Calibration
from deepspeech2.metrics.calibration import bins, calibration_error
from deepspeech2.tables import text_table
from deepspeech2.writer.files import save_figure

_CURVE = tuple(index / 50 for index in range(51))


@dataclass(frozen=True, slots=True)
class Measured:
    """What one decoder heard of one set of utterances.

    Attributes:
        heard: the utterances.
        calibrated: (N,) the confidence of each of their words, in order.
    """

    heard: Sequence[Judged]
    calibrated: NDArray[np.float64]

    @property
    def raw(self) -> NDArray[np.float64]:
        """(N,) the confidence of each word as it was."""
        parts = [each.confidences for each in self.heard if each.confidences]
        return np.concatenate(parts) if parts else np.zeros(0)

    @property
    def right(self) -> NDArray[np.bool_]:
        """(N,) which words are right."""
        parts = [each.right for each in self.heard if each.right]
        return np.concatenate(parts) if parts else np.zeros(0, bool)

    def errors(self) -> dict[str, float]:
        """Expected calibration errors before and after, of bins of equal width and size."""
        right = self.right
        return {
            f"ece_{name}{'_adaptive' * adaptive}": calibration_error(
                bins(values, right, adaptive=adaptive)
            )
            for adaptive in (False, True)
            for name, values in (("before", self.raw), ("after", self.calibrated))
        }

    def utterances(self) -> list[float]:
        """The calibrated confidence of each utterance."""
        sizes = [len(each.confidences) for each in self.heard]
        ends = np.cumsum(sizes).tolist()
        return [
            float(self.calibrated[end - size : end].mean()) if size else 0.0
            for size, end in zip(sizes, ends, strict=True)
        ]

    def accepted(self, threshold: float) -> tuple[int, float, float]:
        """Utterances, share of reference words, and WER of what is not below ``threshold``."""
        pairs = zip(self.heard, self.utterances(), strict=True)
        kept = [each for each, confidence in pairs if confidence >= threshold]
        words = sum(each.reference_words for each in kept)
        everything = sum(each.reference_words for each in self.heard)
        wrong = sum(each.errors for each in kept)
        return len(kept), words / max(everything, 1), wrong / max(words, 1)


def error_table(found: Mapping[str, Mapping[str, Measured]]) -> str:
    """Expected calibration errors by part and decoder, as aligned text."""
    head = ("part", "decoder", "words", "right", "ECE before", "after", "adaptive before", "after")
    rows: list[tuple[str, ...]] = []
    for part, decoders in found.items():
        for name, measured in decoders.items():
            right = measured.right
            share = f"{100 * right.mean():.1f} %" if len(right) else "-"
            errors = (f"{100 * value:.2f} %" for value in measured.errors().values())
            rows.append((part, name, str(len(right)), share, *errors))
    return text_table(head, rows, n_left=2, rule=True)


def coverage_table(found: Mapping[str, Mapping[str, Measured]], thresholds: Sequence[float]) -> str:
    """What is accepted at each threshold that changes it, and its WER, as aligned text."""
    head = ("part", "decoder", "reject_below", "utterances", "words", "WER of accepted")
    rows: list[tuple[str, ...]] = []
    for part, decoders in found.items():
        for name, measured in decoders.items():
            before = -1
            for threshold in sorted({0.0, *thresholds}):
                number, share, wer = measured.accepted(threshold)
                if number == before:
                    continue  # nothing is between the two thresholds
                told = f"{100 * wer:.2f} %" if number else "-"
                cells = (str(number), f"{100 * share:.1f} %", told)
                rows.append((part, name, f"{threshold:g}", *cells))
                before = number
    return text_table(head, rows, n_left=2, rule=True)


def draw(measured: Mapping[str, Measured], path: Path) -> None:
    """Write the reliability diagram of one part, by decoder, to ``path``."""
    curves = {}
    for name, each in measured.items():
        sides = {"before": bins(each.raw, each.right), "after": bins(each.calibrated, each.right)}
        curves[name] = {
            f"{side}: ECE {100 * calibration_error(found):.1f} %": found
            for side, found in sides.items()
        }
    coverage = {
        name: [(at, *each.accepted(at)[1:]) for at in _CURVE] for name, each in measured.items()
    }
    save_figure(reliability(curves, coverage), path)


def numbers(
    found: Mapping[str, Mapping[str, Measured]],
    chosen: Mapping[str, Calibration],
    losses: Mapping[str, Mapping[str, float]],
    thresholds: Sequence[float],
) -> str:
    """All that was measured as one JSON text; rates are fractions, losses nats a word."""
    content: dict[str, Any] = {"calibration": {}, "parts": {}}
    for name, each in chosen.items():
        content["calibration"][name] = {
            "temperature": each.temperature,
            "bias": each.bias,
            "losses": losses[name],
        }
    for part, decoders in found.items():
        content["parts"][part] = {
            name: {
                "words": len(measured.right),
                **measured.errors(),
                "accepted": {
                    f"{at:g}": dict(
                        zip(("utterances", "words", "wer"), measured.accepted(at), strict=True)
                    )
                    for at in sorted({0.0, *thresholds})
                },
            }
            for name, measured in decoders.items()
        }
    return json.dumps(content, indent=1)
