"""The plots of ``RESULTS.md``, made without pyplot: no global state, no window."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullLocator
from PIL import Image  # comes with matplotlib, which saves with it

from benchmarks.records import Newest, Record

Series = Mapping[str, Mapping[str, float]]
"""Lengths of bars, by what the legend tells apart and by what stands beside the bars."""

COLOURS = matplotlib.color_sequences["petroff10"]  # colour-blind readers can tell them apart
LINE_HEIGHT, MARGIN = 0.22, 1.2  # inches
N_COLOURS = 32  # of a PNG


def draw(found: Newest, folder: Path) -> dict[str, str]:
    """Write every plot for which there are figures, and remove those of earlier figures.

    Args:
        found: newest records, by benchmark and machine.
        folder: of the plots.

    Returns:
        Their captions, by file name.
    """
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    captions = {}
    for name, caption, figure in figures(found):
        _save(figure, folder / name)
        captions[name] = caption
    return captions


def figures(found: Newest) -> Iterator[tuple[str, str, Figure]]:
    """File name, caption and figure of each plot."""
    ratios = {
        where: {name: record[where]["ratio"] for name, record in found.items() if where in record}
        for where in sorted({where for machines in found.values() for where in machines})
    }
    if ratios:
        caption = "Ratio of ours to theirs (above 1: ours is better)"
        yield "ratios.png", caption, ratio_bars(ratios, list(found), caption)
    for name, machines in found.items():
        for where, record in machines.items():
            if panels := searches(record):
                caption = f"{name.replace('_', ' ')}: frames/s of one thread, {where}"
                yield f"{_slug(f'{name} {where}')}.png", caption, search_bars(panels, caption)
    variants: dict[str, dict[str, float]] = {}
    for name, machines in found.items():
        for where, record in machines.items():
            if each := _numbers(record.get("variants")):
                variants[f"{name}, {where}"] = each
    if variants:
        caption = "Speed of variants of the training step (above 1: faster than the product's)"
        yield "train_step-variants.png", caption, ratio_bars(variants, _names(variants), caption)


def searches(record: Record) -> dict[str, dict[str, dict[str, float]]]:
    """Frames/s of one thread by emissions, beam and search, of a benchmark that has such."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    results = record.get("all")
    if record["unit"] != "frames/s" or not isinstance(results, Mapping):
        return found
    for key, rows in results.items():
        emissions, _, beam = key.rpartition(", ")
        speeds = {search: row["one"] for search, row in rows.items() if row.get("one")}
        found.setdefault(emissions, {})[beam] = speeds
    return found


def ratio_bars(series: Series, names: Sequence[str], title: str) -> Figure:
    """Ratios on a logarithmic scale, from a line at 1; ``names`` from top to bottom."""
    figure = Figure(figsize=(8, _height([series])), layout="constrained")
    axes = figure.subplots()
    axes.set_xscale("log")
    _bars(axes, series, names, start=1.0)
    values = [value for bars in series.values() for value in bars.values()]
    axes.set_xlim(min(0.5, *(0.8 * value for value in values)), 1.4 * max(2.0, *values))
    axes.axvline(1, color="black", linewidth=1)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:g}")
    figure.suptitle(title, fontweight="bold", fontsize=11)
    _legend(figure, axes)
    return figure


def search_bars(panels: Mapping[str, Series], title: str) -> Figure:
    """Speeds on a logarithmic scale, a panel for each kind of emissions."""
    figure = Figure(figsize=(8, _height(list(panels.values()))), layout="constrained")
    grid = figure.subplots(len(panels), squeeze=False, sharex=True)
    for axes, (name, series) in zip(grid[:, 0], panels.items(), strict=True):
        axes.set_xscale("log")
        _bars(axes, series, _names(series))
        axes.margins(x=0.15)
        axes.set_title(name, loc="left", fontsize=10)
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    figure.suptitle(title, fontweight="bold", fontsize=11)
    _legend(figure, grid[0, 0])
    return figure


def _bars(axes: Axes, series: Series, names: Sequence[str], *, start: float = 0.0) -> None:
    """Horizontal bars from ``start``, those of one name together, the first on top."""
    height = 0.8 / len(series)
    for place, (each, bars) in enumerate(series.items()):
        positions = [names.index(name) + (place + 0.5) * height - 0.4 for name in bars]
        widths = [value - start for value in bars.values()]
        colour = COLOURS[place % len(COLOURS)]
        drawn = axes.barh(positions, widths, height, left=start, color=colour, label=each)
        axes.bar_label(drawn, [_figure(value) for value in bars.values()], padding=3, fontsize=8)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _names(series: Series) -> list[str]:
    return list(dict.fromkeys(name for bars in series.values() for name in bars))


def _save(figure: Figure, path: Path) -> None:
    """Write a PNG of few colours, which is a third as large; the same figure, the same bytes."""
    picture = BytesIO()
    figure.savefig(picture, dpi=90)
    with Image.open(picture) as image:
        image.convert("RGB").quantize(N_COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


def _legend(figure: Figure, axes: Axes) -> None:
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", frameon=False, fontsize=9, ncols=2)


def _height(panels: list[Series]) -> float:
    bars = sum(max(len(each), 1) for series in panels for each in series.values())
    return MARGIN + 0.4 * len(panels) + LINE_HEIGHT * bars


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _numbers(value: object) -> dict[str, float]:
    """The positive numbers of a mapping; a logarithmic scale has no room for others."""
    if not isinstance(value, Mapping):
        return {}
    return {key: each for key, each in value.items() if isinstance(each, int | float) and each > 0}


def _slug(text: str) -> str:
    return re.sub(r"[^\w.]+", "-", text).strip("-").lower()
