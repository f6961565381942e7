"""The figure of a search for two weights and a beam."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, MaxNLocator

Point = tuple[float, float, float]

_CHOSEN, _TIED, _CURVE = "#d55e00", "#e69f00", "#0072b2"  # of Okabe and Ito
_COLOURS = "viridis_r"


def surface(plane: Sequence[Point], beams: Sequence[Point], best: Point) -> Figure:
    """Draw the WER over weight and word score, and over the size of the beam.

    All points of the lowest WER are marked alike, and counted in the titles.

    Args:
        plane: (lm_weight, word_score, WER) of each trial.
        beams: (beam_size, WER, frames per second) of each.
        best: (lm_weight, word_score, WER) of what was chosen.
    """
    wide = max(4.8, 0.8 * len(beams))  # inches, so that the labels of the beams find their place
    figure = Figure(figsize=(6.4 + wide, 4.8), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(6.4, wide))
    _draw_plane(figure, left, plane, best)
    _draw_beams(right, sorted(beams), best)
    return figure


def _draw_plane(figure: Figure, axes: Axes, plane: Sequence[Point], best: Point) -> None:
    x, y, wer = (np.array(values) for values in zip(*plane, strict=True))
    percent = 100 * wer
    # colours end at 1.5 times the best WER: what is far from it needs no distinction
    top = min(percent.max(), 1.5 * percent.min() + 1)
    levels = np.array(MaxNLocator(10).tick_values(percent.min(), max(top, percent.min() + 0.1)))
    levels = levels[levels >= 0]
    dots: dict[str, Any] = {"s": 14, "edgecolors": "white", "linewidths": 0.6}
    dots |= {"clip_on": False, "zorder": 3}
    drawn: Any
    if np.linalg.matrix_rank(np.stack([x - x.mean(), y - y.mean()])) > 1:
        drawn = axes.tricontourf(x, y, percent, levels=levels, cmap=_COLOURS, extend="max")
        axes.scatter(x, y, color="black", label="tried", **dots)
    else:  # points on a line span no surface
        limits = dots | {"vmin": levels[0], "vmax": levels[-1], "s": 60}
        drawn = axes.scatter(x, y, c=percent, cmap=_COLOURS, label="tried", **limits)
        axes.set_xlim(left=max(0.0, axes.get_xlim()[0]))
    figure.colorbar(drawn, ax=axes, label="WER, %", format="%g", ticks=levels)
    tied = wer == wer.min()
    dots |= {"s": 30, "edgecolors": "black"}
    axes.scatter(x[tied], y[tied], color=_TIED, label="lowest WER", **dots)
    _star(axes, *best[:2], label=f"chosen: {100 * best[2]:.2f} %")
    axes.set(xlabel="lm_weight", ylabel="word_score", title=_title("weights", wer))
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=3, frameon=False)


def _draw_beams(axes: Axes, beams: Sequence[Point], best: Point) -> None:
    sizes, rates, speeds = (np.array(values) for values in zip(*beams, strict=True))
    places, percent = np.arange(len(sizes)), 100 * rates
    axes.plot(places, percent, "o-", color=_CURVE, clip_on=False)
    tied = rates == rates.min()
    dots: dict[str, Any] = {"edgecolors": "black", "clip_on": False, "zorder": 3}
    axes.scatter(places[tied], percent[tied], 40, color=_TIED, **dots)
    chosen = np.flatnonzero(rates == best[2])[:1]  # the narrowest of equals
    _star(axes, places[chosen], percent[chosen])
    axes.set(xlabel="beam_size\nframes per second", ylabel="WER, %", title=_title("beams", rates))
    axes.set_xticks(
        places, [f"{size:.0f}\n{speed:,.0f}" for size, speed in zip(sizes, speeds, strict=True)]
    )
    axes.set_xlim(-0.5, len(sizes) - 0.5)
    room = 0.2 * np.ptp(percent) or 0.1 * percent.max() or 1.0
    axes.set_ylim(max(0.0, percent.min() - room), percent.max() + room)
    axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))


def _star(axes: Axes, x: Any, y: Any, label: str | None = None) -> None:
    """Mark what was chosen."""
    style: dict[str, Any] = {"color": _CHOSEN, "edgecolors": "white", "linewidths": 0.6}
    axes.scatter(x, y, 220, marker="*", label=label, clip_on=False, zorder=4, **style)


def _title(what: str, rates: np.ndarray) -> str:
    n_lowest = int((rates == rates.min()).sum())
    return f"{n_lowest} of {len(rates)} {what} with the lowest WER, {100 * rates.min():.2f} %"
