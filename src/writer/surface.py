"""The picture of a search for two weights and a beam."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

Point = tuple[float, float, float]


def surface(plane: Sequence[Point], beams: Sequence[Point], best: Point) -> Figure:
    """WER over weight and word score, and over the size of the beam.

    Args:
        plane: (lm_weight, word_score, WER) of each trial.
        beams: (beam_size, WER, frames per second) of each.
        best: (lm_weight, word_score, WER) of what was chosen.
    """
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.3, 1))
    x, y, wer = (np.array(values) for values in zip(*plane, strict=True))
    percent = 100 * wer
    # far from the best all is bad alike: colours end where the WER is half as much again
    top = min(percent.max(), 1.5 * percent.min() + 1)
    if len(set(x)) > 1 and len(set(y)) > 1:
        levels = np.linspace(percent.min(), max(top, percent.min() + 0.1), 15)
        filled = left.tricontourf(x, y, percent, levels=levels, cmap="viridis_r", extend="max")
        figure.colorbar(filled, ax=left, label="WER, %", format="%.1f")
    left.scatter(x, y, s=8, color="black", label="tried")
    left.scatter(*best[:2], s=160, marker="*", color="#d55e00", zorder=3)
    left.annotate(
        f"{100 * best[2]:.2f} %", best[:2], textcoords="offset points", xytext=(8, 8),
        color="#d55e00", weight="bold",
    )  # fmt: skip
    left.set(xlabel="lm_weight", ylabel="word_score", title="WER over the weights")
    sizes, rates, speeds = (np.array(values) for values in zip(*sorted(beams), strict=True))
    right.plot(sizes, 100 * rates, "o-", color="#0072b2")
    for size, rate, speed in zip(sizes, rates, speeds, strict=True):
        right.annotate(
            f"{speed:,.0f} frames/s", (size, 100 * rate), textcoords="offset points",
            xytext=(4, 6), fontsize=8,
        )  # fmt: skip
    right.set(xscale="log", xlabel="beam_size", ylabel="WER, %", title="WER over the beam")
    right.margins(x=0.25, y=0.2)
    right.set_xticks(sizes, [f"{size:.0f}" for size in sizes])
    right.minorticks_off()
    return figure
