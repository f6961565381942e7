"""WER over hours of training speech: our runs, the line through them, what others published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from deepspeech2.errors import ManifestError
from deepspeech2.files import write_whole
from deepspeech2.metrics.interval import Interval
from deepspeech2.tables import markdown_table
from deepspeech2.writer.base import save_figure
from leaderboard.page import decoding, percent
from leaderboard.power_law import PowerLaw
from leaderboard.rows import Published, Result, latest

HOURS = (100.0, 960.0)  # to predict the WER for: train-clean-100, and all of LibriSpeech
_OURS, _BAND = "#0072b2", 0.18
_MARKERS = "sD^vPX*<>ph"
_COLOURS = matplotlib.color_sequences["petroff10"]
_DOTS_PER_INCH = 120


@dataclass(frozen=True, slots=True)
class Curve:
    """Runs that differ in hours alone.

    Attributes:
        rows: by hours.
        law: through them.
        predicted: by hours the WER with its 95 % prediction interval.
        published: hours, WER in percent and names of others on the same test set.
    """

    rows: list[Result]
    law: PowerLaw
    predicted: dict[float, Interval]
    published: list[tuple[str, float, float]]


def properties(row: Result) -> dict[str, str]:
    """Return what runs are chosen by, and what must be the same for all runs of a curve."""
    model = row.language_model
    return {
        "test_set": row.test_set,
        "decoder": row.decoder,
        "decoding": decoding(row),
        "lm": model.name if model else "none",
        "parameters": str(row.parameters),
        "started_from": row.training.started_from or "none",
    }


def choose(
    results: Sequence[Result], where: Mapping[str, str], recipe: str | None = None
) -> list[Result]:
    """Return the latest rows that have the properties ``where``, by hours.

    Args:
        recipe: what the names of the runs begin with.

    Raises:
        ManifestError: a property is unknown, none has them, or those that have differ in others.
    """
    found = latest(results)
    if not found:
        raise ManifestError("no result is recorded: record runs with tools/results.py record first")
    for key, value in where.items():
        values = sorted({properties(row).get(key, "") for row in found})
        if values == [""]:
            known = ", ".join(properties(found[0]))
            raise ManifestError(f"--where {key}={value} is unknown: it takes {known}")
        if value not in values:
            raise ManifestError(f"--where {key}={value} leaves no run: there are {values}")
        found = [row for row in found if properties(row)[key] == value]
    found = [row for row in found if recipe is None or row.recipe.startswith(recipe)]
    if not found:
        raise ManifestError(
            f"no run whose name begins with {recipe!r} is recorded: record it with"
            " tools/results.py record"
        )
    for key in properties(found[0]):
        values = sorted({properties(row)[key] for row in found})
        if len(values) > 1:
            raise ManifestError(
                f"the runs differ in {key} ({', '.join(values)}): choose with"
                f" --where {key}={values[0]}"
            )
    return sorted(found, key=lambda row: (row.training.hours, row.recipe))


def fit(
    rows: Sequence[Result],
    published: Sequence[Published],
    hours: Sequence[float] = HOURS,
) -> Curve:
    """Fit the power law to ``rows``, and predict the WER for ``hours``.

    A subset of a test set, such as ``test-clean-35m``, is compared with what others have on the
    whole.

    Raises:
        ManifestError: there are fewer than three different amounts of hours.
    """
    law = PowerLaw.fit([row.training.hours for row in rows], [row.wer.value for row in rows])
    test_set = rows[0].test_set
    others = [
        (each.system, each.hours, rate)
        for each in published
        for name, rate in each.wer.items()
        if each.hours is not None and test_set.startswith(name)
    ]
    return Curve(list(rows), law, {each: law(each) for each in hours}, others)


def tables(curve: Curve) -> str:
    """Return the points, the line and its predictions as Markdown."""
    first, law = curve.rows[0], curve.law
    points = []
    for row in curve.rows:
        hours = row.training.hours
        line = f"{100 * law(hours).value:.2f}"
        points.append((f"{hours:g}", percent(row.wer), line, row.recipe))
    predictions = [(f"{hours:g}", percent(wer)) for hours, wer in sorted(curve.predicted.items())]
    parts = [
        f"WER on {first.test_set} ({first.utterances:,} utterances), {decoding(first)},"
        f" {first.model} of {first.parameters / 1e6:.1f} M parameters.",
        markdown_table(
            ("hours", "WER, % (95 % over utterances)", "the line, %", "run"), points, right=range(3)
        ),
        f"WER = {100 * law.factor:.2f} % * hours^-{law.exponent:.3f}; 95 % of the exponent:"
        f" {law.exponents.low:.3f} to {law.exponents.high:.3f}. Least squares in the logarithms of"
        f" {law.points} runs.",
        markdown_table(
            ("foretold for hours", "WER, % (95 % prediction interval)"), predictions, right=range(2)
        ),
    ]
    return "\n\n".join(parts) + "\n"


def write(curve: Curve, place: Path) -> None:
    """Write ``place`` as ``.png`` and ``.md``; the same curve gives the same bytes."""
    picture = place.with_name(f"{place.name}.png")
    save_figure(draw(curve), picture, dpi=_DOTS_PER_INCH, metadata={"Software": None})
    text = (
        "# WER over hours of training speech\n\n"
        "This page is generated by `python tools/results.py curve`: do not edit it.\n\n"
        f"{tables(curve)}\n![WER over hours]({picture.name})\n"
    )
    write_whole(place.with_name(f"{place.name}.md"), text)


def draw(curve: Curve) -> Figure:
    """Both axes logarithmic."""
    figure = Figure(figsize=(9, 5.2), layout="constrained")
    axes = figure.subplots()
    axes.set(xscale="log", yscale="log")
    hours = np.array([row.training.hours for row in curve.rows])
    rates = 100 * np.array([(row.wer.value, row.wer.low, row.wer.high) for row in curve.rows]).T
    _draw_law(axes, curve, hours)
    axes.errorbar(
        hours, rates[0], yerr=np.abs(rates[1:] - rates[0]), fmt="o", color=_OURS, capsize=3,
        label="ours, with 95 % over utterances",
    )  # fmt: skip
    for index, (name, theirs, rate) in enumerate(curve.published):
        marker, colour = _MARKERS[index % len(_MARKERS)], _COLOURS[(index + 1) % len(_COLOURS)]
        axes.plot(theirs, rate, marker, color=colour, markersize=7, label=name)
    for axis, labelled in ((axes.xaxis, (1, 3)), (axes.yaxis, (1, 2, 5))):
        axis.set_major_locator(LogLocator(subs=labelled, numticks=12))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())
    first = curve.rows[0]
    axes.set(xlabel="hours of training speech", ylabel=f"WER on {first.test_set}, %")
    axes.set_title(f"{decoding(first)}, {first.parameters / 1e6:.1f} M parameters", loc="left")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    handles, names = axes.get_legend_handles_labels()
    figure.legend(  # bars with caps come last of themselves, but ours come first
        [handles[-1], *handles[:-1]],
        [names[-1], *names[:-1]],
        loc="outside right upper",
        frameon=False,
        fontsize=8,
    )
    return figure


def _draw_law(axes: Axes, curve: Curve, hours: np.ndarray) -> None:
    """Draw the line with its band, from the fewest hours to the most that are predicted."""
    law = curve.law
    grid = np.geomspace(hours.min(), max(hours.max(), *curve.predicted), 200)
    values = 100 * np.array([(each.value, each.low, each.high) for each in map(law, grid)]).T
    label = f"{100 * law.factor:.3g} % · hours^−{law.exponent:.2f}"  # noqa: RUF001
    axes.plot(grid, values[0], color=_OURS, linewidth=1.2, label=label)
    axes.fill_between(
        grid, values[1], values[2], color=_OURS, alpha=_BAND, linewidth=0, label="95 % of new runs"
    )
    for each in curve.predicted:
        axes.axvline(each, color="black", linewidth=0.6, linestyle=":")
    # a wide band must not squeeze the points
    rates = [100 * row.wer.value for row in curve.rows]
    shown = [*rates, *(rate for *_, rate in curve.published), values[0].min()]
    axes.set_ylim(min(shown) / 2, max(shown) * 2)
