"""How well confidences are calibrated: as numbers, as tables and as a picture."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from deepspeech2.extras.calibration.fit import Fit, Judgement
from deepspeech2.metrics.calibration import bins, calibration_error
from deepspeech2.tables import text_table
from deepspeech2.writer.base import save_figure

_CURVE = tuple(index / 50 for index in range(51))
_COLOURS = ("#d55e00", "#0072b2")  # Okabe and Ito's palette, which colour-blind readers can see
_APART = 0.06  # of the axis: nearer labels would overlap

Bins = Sequence[tuple[int, float, float]]
"""(words, their mean confidence, the share that is right) of each bin, by rising confidence."""

Curve = Sequence[tuple[float, float, float]]
"""(threshold, share of the words that is accepted, WER of it) with rising thresholds."""


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What one decoder made of a set of utterances.

    Attributes:
        judged: the utterances.
        confidences: (N,) calibrated, of each of their words, in order.
    """

    judged: Sequence[Judgement]
    confidences: NDArray[np.float64]

    @property
    def raw(self) -> NDArray[np.float64]:
        """(N,) the confidences before the calibration."""
        return np.array([value for each in self.judged for value in each.confidences], np.float64)

    @property
    def right(self) -> NDArray[np.bool_]:
        """(N,) which words are right."""
        return np.array([value for each in self.judged for value in each.right], np.bool_)

    def errors(self) -> dict[str, float]:
        """Return expected calibration errors before and after, of bins of equal width and size."""
        right = self.right
        return {
            f"ece_{name}{'_adaptive' * adaptive}": calibration_error(
                bins(values, right, adaptive=adaptive)
            )
            for adaptive in (False, True)
            for name, values in (("before", self.raw), ("after", self.confidences))
        }

    def utterances(self) -> list[float]:
        """Return the calibrated confidence of each utterance."""
        sizes = [len(each.confidences) for each in self.judged]
        ends = np.cumsum(sizes).tolist()
        return [
            float(self.confidences[end - size : end].mean()) if size else 0.0
            for size, end in zip(sizes, ends, strict=True)
        ]

    def accepted(self, threshold: float) -> tuple[int, float, float]:
        """Return utterances, share of reference words, and WER of what reaches ``threshold``."""
        pairs = zip(self.judged, self.utterances(), strict=True)
        accepted = [each for each, confidence in pairs if confidence >= threshold]
        words = sum(each.reference_words for each in accepted)
        everything = sum(each.reference_words for each in self.judged)
        wrong = sum(each.errors for each in accepted)
        return len(accepted), words / max(everything, 1), wrong / max(words, 1)


Parts = Mapping[str, Mapping[str, Calibrated]]
"""By part and decoder."""


def error_table(parts: Parts) -> str:
    """Tabulate expected calibration errors by part and decoder."""
    head = ("part", "decoder", "words", "right", "ECE before", "after", "adaptive before", "after")
    rows: list[tuple[str, ...]] = []
    for part, decoders in parts.items():
        for name, each in decoders.items():
            right = each.right
            share = f"{100 * right.mean():.1f} %" if len(right) else "-"
            errors = (f"{100 * value:.2f} %" for value in each.errors().values())
            rows.append((part, name, str(len(right)), share, *errors))
    return text_table(head, rows, n_left=2, rule=True)


def coverage_table(parts: Parts, thresholds: Sequence[float]) -> str:
    """Tabulate what is accepted, and its WER, at each threshold that makes a difference."""
    head = ("part", "decoder", "reject_below", "utterances", "words", "WER of accepted")
    rows: list[tuple[str, ...]] = []
    for part, decoders in parts.items():
        for name, each in decoders.items():
            before = -1
            for threshold in sorted({0.0, *thresholds}):
                number, share, wer = each.accepted(threshold)
                if number != before:
                    rate = f"{100 * wer:.2f} %" if number else "-"
                    cells = (str(number), f"{100 * share:.1f} %", rate)
                    rows.append((part, name, f"{threshold:g}", *cells))
                before = number
    return text_table(head, rows, n_left=2, rule=True)


def numbers(parts: Parts, fits: Mapping[str, Fit], thresholds: Sequence[float]) -> str:
    """Return all results as one JSON text; rates are fractions, losses nats a word."""
    content: dict[str, Any] = {"calibration": {}, "parts": {}}
    for name, each in fits.items():
        content["calibration"][name] = {
            "temperature": each.chosen.temperature,
            "bias": each.chosen.bias,
            "losses": each.losses,
        }
    for part, decoders in parts.items():
        content["parts"][part] = {
            name: {
                "words": len(each.right),
                **each.errors(),
                "accepted": {
                    f"{at:g}": dict(
                        zip(("utterances", "words", "wer"), each.accepted(at), strict=True)
                    )
                    for at in sorted({0.0, *thresholds})
                },
            }
            for name, each in decoders.items()
        }
    return json.dumps(content, indent=1)


def draw(decoders: Mapping[str, Calibrated], path: Path) -> None:
    """Draw the reliability of one part, by decoder, to ``path``."""
    curves: dict[str, dict[str, Bins]] = {}
    for name, each in decoders.items():
        curves[name] = {}
        for side, values in (("before", each.raw), ("after", each.confidences)):
            filled = bins(values, each.right)
            curves[name][f"{side}: ECE {100 * calibration_error(filled):.1f} %"] = filled
    coverage = {
        name: [(at, *each.accepted(at)[1:]) for at in _CURVE] for name, each in decoders.items()
    }
    save_figure(reliability(curves, coverage), path)


def reliability(
    diagrams: Mapping[str, Mapping[str, Bins]], coverage: Mapping[str, Curve]
) -> Figure:
    """Draw a reliability diagram for each decoder, and the WER of what is accepted.

    Args:
        diagrams: by decoder, by label, the bins of its words: before and after the calibration.
        coverage: by decoder.
    """
    figure = Figure(figsize=(4.4 * len(diagrams), 8.4), layout="constrained")
    rows = figure.subplots(2, len(diagrams), squeeze=False, height_ratios=(1.15, 1))
    for (name, curves), above, below in zip(diagrams.items(), *rows, strict=True):
        _draw_bins(above, curves)
        above.set_title(name, loc="left", fontweight="bold")
        _draw_coverage(below, coverage[name])
    rows[0, 0].set_ylabel("share that is right")
    rows[1, 0].set_ylabel("WER of what is accepted")
    return figure


def _draw_bins(axes: Axes, curves: Mapping[str, Bins]) -> None:
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle="--")
    most = max((count for points in curves.values() for count, _, _ in points), default=1)
    for (label, points), colour in zip(curves.items(), _COLOURS, strict=True):
        counts, confidence, right = np.array(points).reshape(-1, 3).T
        axes.plot(confidence, right, color=colour, linewidth=1.4, label=label)
        sizes = 8 + 130 * counts / most
        axes.scatter(confidence, right, sizes, color=colour, alpha=0.75, zorder=3, clip_on=False)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence of words")
    _finish(axes)
    axes.legend(frameon=False, fontsize=9, loc="upper left")


def _draw_coverage(axes: Axes, curve: Curve) -> None:
    points = [point for point in curve if point[1] > 0]
    _, share, wer = np.array(points).T if points else np.zeros((3, 0))
    axes.plot(share, wer, color=_COLOURS[-1], linewidth=1.6)
    labelled = 2.0  # the share at the last label
    for threshold, x, y in points:
        if abs(10 * threshold - round(10 * threshold)) < 1e-9 and labelled - x > _APART:
            labelled = x
            axes.plot(x, y, "o", color=_COLOURS[-1], markersize=5, clip_on=False)
            # the curve rises to the right, and may be on the axis
            left = x > _APART
            axes.annotate(
                f"{threshold:g}", (x, y), (-4 if left else 4, 4), textcoords="offset points",
                size=8, horizontalalignment="right" if left else "left",
            )  # fmt: skip
    axes.set(xlim=(0, 1.06), xlabel="words accepted (labels: reject_below)")
    axes.set_ylim(0, 1.08 * max(wer, default=1.0) or 1.0)
    _finish(axes)


def _finish(axes: Axes) -> None:
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
