"""The picture of how often a confidence is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

_COLOURS = ("#d55e00", "#0072b2")  # of Okabe and Ito: colour-blind readers can tell them apart

Bins = Sequence[tuple[int, float, float]]
"""(words, their mean confidence, the share that is right) of each bin, by rising confidence."""

_APART = 0.06  # of the axis: labels that are nearer would run into each other

Curve = Sequence[tuple[float, float, float]]
"""(threshold, share of the words that is accepted, WER of it) with rising thresholds."""


def reliability(found: Mapping[str, Mapping[str, Bins]], coverage: Mapping[str, Curve]) -> Figure:
    """A reliability diagram for each decoder, and the WER of what is accepted.

    Args:
        found: by decoder, by label, the bins of its words: before and after the calibration.
        coverage: by decoder.
    """
    figure = Figure(figsize=(4.4 * len(found), 8.4), layout="constrained")
    rows = figure.subplots(2, len(found), squeeze=False, height_ratios=(1.15, 1))
    for (name, curves), above, below in zip(found.items(), *rows, strict=True):
        _draw_bins(above, curves)
        above.set_title(name, loc="left", fontweight="bold")
        _draw_coverage(below, coverage[name])
    rows[0, 0].set_ylabel("share that is right")
    rows[1, 0].set_ylabel("WER of what is accepted")
    return figure


def _draw_bins(axes: Axes, curves: Mapping[str, Bins]) -> None:
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle="--")
    most = max((count for found in curves.values() for count, _, _ in found), default=1)
    for (label, found), colour in zip(curves.items(), _COLOURS, strict=True):
        counts, told, right = np.array(found).reshape(-1, 3).T
        axes.plot(told, right, color=colour, linewidth=1.4, label=label)
        sizes = 8 + 130 * counts / most
        axes.scatter(told, right, sizes, color=colour, alpha=0.75, zorder=3, clip_on=False)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence of words")
    _finish(axes)
    axes.legend(frameon=False, fontsize=9, loc="upper left")


def _draw_coverage(axes: Axes, curve: Curve) -> None:
    kept = [point for point in curve if point[1] > 0]
    _, share, wer = np.array(kept).T if kept else np.zeros((3, 0))
    axes.plot(share, wer, color=_COLOURS[-1], linewidth=1.6)
    told = 2.0  # the share that the last label stands at
    for threshold, x, y in kept:
        if abs(10 * threshold - round(10 * threshold)) < 1e-9 and told - x > _APART:
            told = x
            axes.plot(x, y, "o", color=_COLOURS[-1], markersize=5, clip_on=False)
            # the curve rises to the right, and may lie on the axis
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
