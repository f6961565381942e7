"""Pictures of one utterance: its spectrogram before and after augmentation, and its emissions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_PEAK = 0.5  # a token is named where its posterior passes this
_BLANK = 0  # the index of CTC's blank


def spectrograms(
    rows: Sequence[tuple[str, np.ndarray]], seconds_per_frame: float, *, unit: str = "mel channel"
) -> Figure:
    """Spectrograms above one another, on a common time axis and each with its own colour bar.

    Args:
        rows: title and features (T, F) of each, low frequencies first; T may differ, as it
            does under speed perturbation.
        seconds_per_frame: the hop.
        unit: what the F axis counts.
    """
    longest = max(len(features) for _, features in rows) * seconds_per_frame
    figure = Figure(figsize=(_width(longest), 0.6 + 2.3 * len(rows)), layout="constrained")
    # One range of colours for all, so that they compare; single cells must not eat it up.
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
    """What the network believes in each frame: posteriors as curves, and log-probabilities.

    Args:
        log_probs: (T, V), natural logarithm; index 0 is the blank.
        tokens: V names.
        seconds_per_frame: of the network's output.
        title: stands above, such as the reference.

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
    below.set_yticks(range(len(tokens)), [_visible(token) for token in tokens], fontsize=7)
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
        if index == _BLANK or curve.max() < 0.05:
            continue
        (line,) = axes.plot(times, curve, linewidth=1.2)
        for start, stop in _runs(curve > _PEAK):
            peak = start + int(curve[start:stop].argmax())
            axes.annotate(
                _visible(tokens[index]),
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


def _visible(token: str) -> str:
    return "␣" if token == " " else token or "blank"


def _width(seconds: float) -> float:
    """Inches: long utterances get wider figures, within what a screen shows."""
    return float(np.clip(3 + 1.1 * seconds, 8, 18))
