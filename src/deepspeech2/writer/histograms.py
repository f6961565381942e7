"""Figures of a corpus: how long its utterances are, how they fill batches, how fast they speak.

Text and lines are grey, readable on white and on black, and the background is transparent.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray
from PIL import Image

from deepspeech2.writer.base import DOTS_PER_INCH

_GREY = "#808080"
_COLOURS = ("#3a8fd6", "#e0742c", "#17a37f", "#cc79a7", "#c9971c")

Values = NDArray[np.float64]


def durations(parts: Mapping[str, Values]) -> Figure:
    """Draw how long utterances are: a histogram for each part, on one axis of seconds."""
    longest = max((float(values.max()) for values in parts.values() if len(values)), default=1.0)
    edges = np.linspace(0, longest, 41)
    figure = Figure(figsize=(8, 0.7 + 1.35 * len(parts)), layout="constrained")
    panels = figure.subplots(len(parts), sharex=True, squeeze=False)[:, 0]
    for axes, (name, values), colour in zip(panels, parts.items(), _cycle(parts), strict=True):
        axes.hist(values, edges.tolist(), color=colour)
        middle = f", median {np.median(values):.1f} s" if len(values) else ""
        axes.set_title(f"{name}: {len(values):,} utterances{middle}", loc="left", fontsize=10)
        axes.set_ylabel("utterances")
        _finish(axes)
    panels[-1].set_xlabel("seconds")
    return figure


def padding(shares: Values, sizes: NDArray[np.int64]) -> Figure:
    """Draw how batches are filled.

    Args:
        shares: (N,) of padding in each batch, from 0 to 1.
        sizes: (N,) utterances in each.
    """
    figure = Figure(figsize=(8, 3), layout="constrained")
    left, right = figure.subplots(1, 2)
    most = 100 * float(shares.max(initial=0.01))
    left.hist(100 * shares, np.linspace(0, most, 31).tolist(), color=_COLOURS[1])
    left.set_xlabel("% padding in a batch")
    left.set_ylabel("batches")
    right.hist(sizes, _whole_edges(int(sizes.max(initial=1))), color=_COLOURS[0])
    right.set_xlabel("utterances in a batch")
    for axes in (left, right):
        _finish(axes)
    return figure


def speech_rates(parts: Mapping[str, Values], limits: Sequence[tuple[str, float]]) -> Figure:
    """Draw how many frames a second transcripts need, beside those that exist.

    Args:
        parts: (N,) frames that CTC needs, over seconds of audio.
        limits: of networks, by name, the frames that they output a second.
    """
    most = max([rate for _, rate in limits] + [float(v.max()) for v in parts.values() if len(v)])
    edges = np.linspace(0, 1.05 * most, 61).tolist()
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    axes = figure.subplots()
    for (name, values), colour in zip(parts.items(), _cycle(parts), strict=True):
        weights = np.full(len(values), 100 / max(len(values), 1))
        axes.hist(
            values, edges, weights=weights, histtype="step", color=colour, label=name,
            linewidth=1.8,
        )  # fmt: skip
    for (label, rate), style in zip(limits, ("--", ":"), strict=False):
        axes.axvline(
            rate, color=_GREY, linestyle=style, linewidth=1.5, label=f"{label}: {rate:.1f}"
        )
    axes.set_xlabel("frames a second that CTC needs: a character each, and one between equal ones")
    axes.set_ylabel("% of utterances")
    axes.legend(frameon=False, loc="upper left", labelcolor=_GREY, fontsize=9)
    _finish(axes)
    return figure


def neutral_png(figure: Figure, dpi: int = DOTS_PER_INCH) -> bytes:
    """Return a figure as a transparent PNG, its text and axes in grey."""
    for text in figure.findobj(Text):
        text.set_color(_GREY)
    for axes in figure.axes:
        axes.tick_params(which="both", color=_GREY, labelcolor=_GREY)
        for spine in axes.spines.values():
            spine.set_edgecolor(_GREY)
    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=dpi, transparent=True)
    # a palette makes spectrograms a third of the size
    Image.open(drawn).quantize(256, method=Image.Quantize.FASTOCTREE).save(small, "png")
    return small.getvalue()


def _whole_edges(most: int) -> list[float]:
    """Edges of bins, each around equally many whole numbers from 1 to at least ``most``."""
    step = -(-most // 40)
    return [0.5 + index * step for index in range(-(-most // step) + 1)]


def _cycle(parts: Mapping[str, Values]) -> list[str]:
    return [_COLOURS[index % len(_COLOURS)] for index in range(len(parts))]


def _finish(axes: Axes) -> None:
    axes.grid(alpha=0.25, color=_GREY)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
