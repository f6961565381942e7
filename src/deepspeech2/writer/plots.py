"""Figures of a run: its curves, and an utterance's spectrograms and emissions.

All are :class:`matplotlib.figure.Figure` objects made without pyplot: no global state, no window.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from deepspeech2.writer.jsonl import read_metrics

_SMOOTH_FROM = 40  # points; fewer are shown as they are
_WINDOWS = 25  # a curve is smoothed over a window of its length over this
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#4d4d4d")
"""Okabe and Ito's palette, which colour-blind readers can tell apart."""
_PEAK = 0.5  # a token is named where its posterior exceeds this
_SHOWN = 0.05  # posterior below which a token is not drawn
_MOST_NAMED = 80  # tokens that are all named beside the picture
_BLANK = 0  # the index of CTC's blank


class _Series(NamedTuple):
    name: str
    steps: np.ndarray
    values: np.ndarray


class _Panel(NamedTuple):
    title: str
    unit: str
    wanted: Callable[[str], bool]
    scale: float = 1.0
    best: Callable[[np.ndarray], Any] | None = None  # np.nanargmin where lower is better


def _last(*names: str) -> Callable[[str], bool]:
    return lambda key: key.rsplit("/", 1)[-1] in names


def _is_error_rate(key: str) -> bool:
    return key.rsplit("/", 1)[-1].startswith(("WER_", "CER_"))


def _is_own_metric(key: str) -> bool:
    """Whether it is a metric of a decoder's hypotheses: ``val/NAME_(Argmax)``."""
    return key.endswith(")") and "_(" in key and not _is_error_rate(key)


_PANELS = {
    "loss": _Panel("CTC loss", "nats per character", _last("loss"), best=np.nanargmin),
    "error_rates": _Panel("Error rates", "%", _is_error_rate, scale=100.0, best=np.nanargmin),
    "metrics": _Panel("Metrics", "value", _is_own_metric),
    "learning_rate": _Panel("Learning rate", "step size", _last("learning_rate", "lr")),
    "gradient_norm": _Panel(
        "Gradient norm", "before clipping", _last("gradient_norm", "grad_norm")
    ),
    "speed": _Panel(
        "Training speed", "seconds of audio per second", _last("audio_seconds_per_second", "speed")
    ),
    "data": _Panel(
        "Time waiting for data, and padding", "%", _last("waiting_share", "padding"), scale=100.0
    ),
    "memory": _Panel("Most memory so far", "GiB", _last("peak_memory_gib")),
}


def curves(metrics_path: str | Path) -> dict[str, Figure]:
    """The curves of a run, over optimiser steps.

    Args:
        metrics_path: a ``metrics.jsonl``; error rates in it are fractions.

    Returns:
        ``loss``, ``error_rates``, ``metrics``, ``learning_rate``, ``gradient_norm``, ``speed``,
        ``data`` and ``memory``, those of which there is at least one finite value.
    """
    series = _read_series(metrics_path)
    figures = {}
    for name, panel in _PANELS.items():
        chosen = [one for one in series if panel.wanted(one.name)]
        if chosen:
            figures[name] = _draw_curves(panel, chosen)
    return figures


def _read_series(metrics_path: str | Path) -> list[_Series]:
    points: dict[str, dict[int, float]] = {}
    for row in read_metrics(metrics_path):
        for key, value in row.items():
            if key not in ("step", "time") and np.isfinite(value):
                points.setdefault(key, {})[int(row["step"])] = value
    return [
        _Series(key, np.array(sorted(found)), np.array([found[step] for step in sorted(found)]))
        for key, found in points.items()
    ]


def _draw_curves(panel: _Panel, series: Sequence[_Series]) -> Figure:
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for one, style in zip(series, _styles([one.name for one in series]), strict=True):
        _draw_series(axes, panel, one, style)
    values = np.concatenate([one.values for one in series]) * panel.scale
    if panel.best is not None and values.min() > 0 and values.max() > 8 * values.min():
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(_plain)
        axes.yaxis.set_minor_formatter(_plain_if_leading)
        axes.tick_params(axis="y", which="minor", labelsize=8)
    elif values.min() >= 0:
        axes.set_ylim(bottom=0)
        axes.ticklabel_format(axis="y", scilimits=(-3, 5), useMathText=True)
    axes.set_title(panel.title, loc="left", fontweight="bold")
    axes.set_xlabel("optimiser step")
    axes.set_ylabel(panel.unit)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    if max(one.steps.max() for one in series) >= 10_000:
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.grid(which="major", alpha=0.35)
    axes.grid(which="minor", alpha=0.12)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
    return figure


def _plain(value: float, position: float) -> str:
    return f"{value:g}"


def _plain_if_leading(value: float, position: float) -> str:
    """Label 2 and 5 between the powers of ten; more would run into each other."""
    return f"{value:g}" if f"{value:e}"[0] in "25" else ""


def _styles(names: Sequence[str]) -> list[dict[str, Any]]:
    """One colour for each series; WER and CER of the same thing share it, CER is dashed."""
    stems = [name.replace("CER", "WER") for name in names]
    order = list(dict.fromkeys(stems))
    return [
        {
            "color": _COLOURS[order.index(stem) % len(_COLOURS)],
            "linestyle": "-" if stem == name else "--",
        }
        for name, stem in zip(names, stems, strict=True)
    ]


def _draw_series(axes: Axes, panel: _Panel, one: _Series, style: Mapping[str, Any]) -> None:
    values = one.values * panel.scale
    label = one.name.replace("_(", " (")
    many = len(values) >= _SMOOTH_FROM
    if panel.best is not None and not one.name.startswith("train"):
        best = int(panel.best(values))
        percent = " %" if panel.unit == "%" else ""
        label += f": best {values[best]:.3g}{percent} at step {one.steps[best]:,}"
        axes.plot(
            one.steps[best], values[best], marker="*", markersize=13, color=style["color"], zorder=3
        )
    smooth = many and panel.title in ("CTC loss", "Gradient norm")
    if smooth:
        axes.plot(one.steps, values, linewidth=0.8, alpha=0.3, **style)
        values, label = _smoothed(values), f"{label} (smoothed)"
    axes.plot(one.steps, values, label=label, linewidth=1.8, marker=None if many else ".", **style)


def _smoothed(values: np.ndarray) -> np.ndarray:
    """Centred moving average: it does not lag behind, and at the ends its window shrinks."""
    half = max(1, len(values) // _WINDOWS // 2)
    sums = np.concatenate(([0.0], np.cumsum(values)))
    centres = np.arange(len(values))
    reach = np.minimum(half, np.minimum(centres, centres[::-1]))
    return np.asarray((sums[centres + reach + 1] - sums[centres - reach]) / (2 * reach + 1))


def spectrograms(
    rows: Sequence[tuple[str, np.ndarray]], seconds_per_frame: float, *, unit: str = "mel channel"
) -> Figure:
    """Draw spectrograms above one another, with a common time axis and a colour bar each.

    Args:
        rows: title and features (T, F) of each, low frequencies first; T may differ, as it
            does under speed perturbation.
        seconds_per_frame: the hop.
        unit: what the F axis counts.
    """
    longest = max(len(features) for _, features in rows) * seconds_per_frame
    figure = Figure(figsize=(_width(longest), 0.6 + 2.3 * len(rows)), layout="constrained")
    # one range of colours for all, so that they compare; single cells must not determine it.
    cells = np.concatenate([features.ravel() for _, features in rows])
    low, high = np.percentile(cells, [1, 99.8])
    panels = figure.subplots(len(rows), sharex=True, squeeze=False)[:, 0]
    for axes, (title, features) in zip(panels, rows, strict=True):
        image = axes.imshow(
            features.T,
            origin="lower",
            aspect="auto",
            interpolation="nearest",
            cmap="magma",
            vmin=low,
            vmax=max(high, low + 1e-6),
            extent=(0, len(features) * seconds_per_frame, 0, features.shape[1]),
        )
        axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
        axes.set_ylabel(unit)
        figure.colorbar(image, ax=axes, pad=0.01, label="log power")
    panels[-1].set_xlim(0, longest)
    panels[-1].set_xlabel("time, s")
    return figure


def emissions(
    log_probs: np.ndarray,
    tokens: Sequence[str],
    seconds_per_frame: float,
    *,
    title: str = "Emissions",
) -> Figure:
    """Draw the network's output in each frame: posteriors as curves, and log-probabilities.

    Args:
        log_probs: (T, V), natural logarithm; index 0 is the blank.
        tokens: V names.
        seconds_per_frame: of the network's output.
        title: such as the reference.

    Raises:
        ValueError: ``tokens`` does not name V tokens.
    """
    if len(tokens) != log_probs.shape[1]:
        raise ValueError(f"{len(tokens)} tokens cannot name {log_probs.shape[1]} columns")
    duration = len(log_probs) * seconds_per_frame
    figure = Figure(figsize=(_width(duration), 6.8), layout="constrained")
    above, below = figure.subplots(2, sharex=True, height_ratios=(1, 2.2))
    _draw_posteriors(above, np.exp(log_probs), tokens, seconds_per_frame)
    above.set_title(title, loc="left", fontsize=11, fontweight="bold")
    image = below.imshow(
        log_probs.T / np.log(10),
        aspect="auto",
        interpolation="nearest",
        cmap="magma",
        vmin=-4,
        vmax=0,
        extent=(0, duration, len(tokens) - 0.5, -0.5),
    )
    named = list(range(len(tokens)))
    if len(tokens) > _MOST_NAMED:  # names that would cover each other: those of what is emitted
        named = np.flatnonzero(log_probs.max(0, initial=-np.inf) > np.log(_SHOWN)).tolist()
    below.set_yticks(named, [_token_name(tokens[index]) for index in named], fontsize=7)
    below.set_ylabel("token")
    below.set_xlabel("time, s")
    below.set_xlim(0, duration)
    figure.colorbar(image, ax=below, pad=0.01, label="log10 probability")
    return figure


def _draw_posteriors(
    axes: Axes, posteriors: np.ndarray, tokens: Sequence[str], seconds_per_frame: float
) -> None:
    times = (np.arange(len(posteriors)) + 0.5) * seconds_per_frame
    axes.fill_between(times, posteriors[:, _BLANK], color="0.88", linewidth=0, label="blank")
    for index in range(len(tokens)):
        curve = posteriors[:, index]
        if index == _BLANK or curve.max() < _SHOWN:
            continue
        (line,) = axes.plot(times, curve, linewidth=1.2)
        for start, stop in _runs(curve > _PEAK):
            peak = start + int(curve[start:stop].argmax())
            axes.annotate(
                _token_name(tokens[index]),
                (times[peak], curve[peak]),
                (0, 3),
                textcoords="offset points",
                ha="center",
                fontsize=9,
                color=line.get_color(),
            )
    axes.set_ylim(0, 1.18)
    axes.set_yticks([0, 0.5, 1])
    axes.set_ylabel("posterior")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper right", frameon=False, fontsize=8, borderaxespad=0)


def _runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """The half-open ranges in which ``mask`` (T,) is true."""
    edges = np.diff(np.concatenate(([0], mask.astype(np.int8), [0])))
    starts, stops = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return [(int(start), int(stop)) for start, stop in zip(starts, stops, strict=True)]


def _token_name(token: str) -> str:
    return token.replace(" ", "␣") or "blank"


def _width(seconds: float) -> float:
    """Inches: long utterances get wider figures, within what a screen shows."""
    return float(np.clip(3 + 1.1 * seconds, 8, 18))
