"""The picture of error rates over the level of noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

Rate = tuple[float, float, float]
"""An error rate and the bounds of its interval, as fractions."""

# Okabe and Ito's palette, which colour-blind readers can tell apart.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#4d4d4d")


def error_over_noise(
    snrs_db: Sequence[float | None], curves: Mapping[str, Sequence[Rate]]
) -> Figure:
    """WER over the signal-to-noise ratio, a line for each curve in a band of its intervals.

    Args:
        snrs_db: dB; None is speech without noise, which stands apart, to the left.
        curves: by name, the error rates at ``snrs_db``.
    """
    figure = Figure(figsize=(8, 4.8), layout="constrained")
    axes = figure.subplots()
    places = _places(snrs_db)
    order = np.argsort(places)
    for number, (name, points) in enumerate(curves.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        x = places[order]
        rates, low, high = 100 * np.array(points)[order].T
        axes.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
        axes.plot(x, rates, "o-", color=colour, label=name, linewidth=1.8, markersize=5)
        if len(curves) == 1:
            for place, rate in zip(x, rates, strict=True):
                axes.annotate(
                    f"{rate:.1f}", (place, rate), textcoords="offset points", xytext=(0, 7),
                    ha="center", fontsize=9, color=colour,
                )  # fmt: skip
    labels = ["clean" if snr is None else f"{snr:g}" for snr in snrs_db]
    axes.set_xticks(places, labels)
    most = max(high for points in curves.values() for _, _, high in points)
    axes.set_ylim(0, max(112 * most, 1.0))
    axes.yaxis.set_major_formatter(PercentFormatter(decimals=0, symbol=" %"))
    axes.set_title("Word error rate in noise", loc="left", fontweight="bold")
    axes.set_xlabel("signal-to-noise ratio, dB (bands: 95 % intervals)")
    axes.set_ylabel("WER")
    axes.grid(alpha=0.35)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper left")
    return figure


def _places(snrs_db: Sequence[float | None]) -> np.ndarray:
    """Where each level stands: noise grows to the right, in dB; clean is one step before."""
    levels = sorted({snr for snr in snrs_db if snr is not None}, reverse=True)
    steps = [before - after for before, after in pairwise(levels)]
    step = float(np.median(steps)) if steps else 5.0
    clean = -(levels[0] + step) if levels else 0.0
    return np.array([clean if snr is None else -snr for snr in snrs_db])
