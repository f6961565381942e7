"""Error rates in noise: as numbers, as tables, as a picture, and as files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from deepspeech2.errors import ConfigError, ManifestError
from deepspeech2.extras.robustness.measure import Measured, level_name
from deepspeech2.files import whole_folder, write_whole
from deepspeech2.metrics.interval import Interval, interval, resampled_rates
from deepspeech2.paths import move_aside
from deepspeech2.tables import markdown_table
from deepspeech2.writer.base import save_figure

RESULTS = "robustness.json"
# Okabe and Ito's palette, which colour-blind readers can tell apart
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#4d4d4d")


@dataclass(frozen=True, slots=True)
class Report:
    """Error rates of checkpoints over the same utterances.

    Attributes:
        measured: by checkpoint.
        snrs_db: the levels; None is clean speech.
        rates: by checkpoint, the WER at each level.
        differences: by checkpoint but the first, its WER less that of the first at each level.
        classes: by class of noise, by checkpoint: the WER at ``class_snr`` and, where it was
            measured, the clean WER of the same utterances; empty without classes.
        class_sizes: by class of noise, the number of utterances.
        class_snr: in dB.
    """

    measured: Mapping[str, Measured]
    snrs_db: Sequence[float | None]
    rates: dict[str, list[Interval]]
    differences: dict[str, list[Interval]]
    classes: dict[str, dict[str, list[Interval]]]
    class_sizes: dict[str, int]
    class_snr: float | None


def report(
    measured: Mapping[str, Measured],
    snrs_db: Sequence[float | None],
    *,
    class_snr: float | None,
    seed: int,
) -> Report:
    """Compute error rates with 95 % intervals.

    Raises:
        ManifestError: no utterance was recognised.
    """
    first, *others = measured
    if not measured[first].results:
        raise ManifestError("datasets has no utterance that could be read: run deepspeech2 doctor")
    rates, draws = _rates(measured, range(len(measured[first].results)), seed)
    differences = {
        name: [
            interval(ours.value - base.value, drawn - drawn_base)
            for ours, base, drawn, drawn_base in zip(
                rates[name], rates[first], draws[name], draws[first], strict=True
            )
        ]
        for name in others
    }
    members: dict[str, list[int]] = {}
    for index, each in enumerate(measured[first].results):
        if "/" in each.noise:
            members.setdefault(each.noise.split("/")[0], []).append(index)
    classes = {}
    if class_snr is not None and len(members) > 1:
        levels = [snr for snr in (class_snr, None) if snr in snrs_db]
        for group in sorted(members):
            rows, _ = _rates(measured, members[group], seed)
            classes[group] = {
                name: [row[list(snrs_db).index(snr)] for snr in levels]
                for name, row in rows.items()
            }
    sizes = {group: len(members[group]) for group in classes}
    return Report(measured, snrs_db, rates, differences, classes, sizes, class_snr)


def _rates(
    measured: Mapping[str, Measured], chosen: Sequence[int], seed: int
) -> tuple[dict[str, list[Interval]], dict[str, NDArray[np.float64]]]:
    """Return by checkpoint WER at each level over ``chosen`` utterances, and its draws (C, n)."""
    rates, draws = {}, {}
    for name, each in measured.items():
        results = [each.results[index] for index in chosen]
        errors = np.array([result.errors for result in results], np.int64).T
        words = np.array([result.words for result in results], np.int64)
        draws[name] = resampled_rates(errors, words[None], seed=seed)
        values = errors.sum(axis=1) / max(words.sum(), 1)
        rates[name] = [interval(float(v), d) for v, d in zip(values, draws[name], strict=True)]
    return rates, draws


def tables(result: Report) -> str:
    """Return the report as Markdown that also reads well in a terminal."""
    names, levels = list(result.rates), [level_name(snr) for snr in result.snrs_db]
    rates = [_cells(each) for each in result.rates.values()]
    parts = [
        "WER, %, with 95 % intervals",
        _table(["SNR", *names], zip(levels, *rates, strict=True)),
    ]
    if result.differences:
        differences = [_cells(each, signed=True) for each in result.differences.values()]
        parts += [
            f"Points of WER more than {names[0]} (paired: both heard the same)",
            _table(["SNR", *result.differences], zip(levels, *differences, strict=True)),
        ]
    if result.classes:
        at = level_name(result.class_snr)
        clean = None in result.snrs_db
        heads = [f"{name}, {level}" for name in names for level in (at, "clean")[: 1 + clean]]
        rows = []
        for noise, row in result.classes.items():
            cells = [cell for name in names for cell in _cells(row[name])]
            rows.append([noise, str(result.class_sizes[noise]), *cells])
        parts += [
            f"WER, %, by class of noise at {at}" + (", and of the same speech without" * clean),
            _table(["noise", "utterances", *heads], rows),
        ]
    return "\n\n".join(parts)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return markdown_table(heads, list(rows), right=range(1, len(heads)), padded=True)


def _cells(rates: Sequence[Interval], *, signed: bool = False) -> list[str]:
    """Return percent with bounds, unless a single utterance leaves nothing to draw."""
    sign = "+" if signed else ""
    return [
        f"{100 * rate.value:{sign}.1f}"
        + f" ({100 * rate.low:{sign}.1f} to {100 * rate.high:{sign}.1f})" * (rate.low < rate.high)
        for rate in rates
    ]


def claim(folder: Path, *, override: bool) -> None:
    """Check that results can be written to ``folder``.

    Raises:
        ConfigError: it contains files, and either ``override`` is not asked for or they are no
            earlier results.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / RESULTS).is_file():
        raise ConfigError(
            f"{folder} contains other files: choose another folder as robustness.save_path"
        )
    if not override:
        raise ConfigError(
            f"{folder} contains results already: choose another robustness.save_path, or move them"
            " aside with robustness.override=true"
        )


def write(result: Report, folder: Path, title: str, described: Mapping[str, Any]) -> None:
    """Write ``robustness.json``, ``.md`` and ``.png``, all or none; move earlier results aside.

    Args:
        title: a paragraph of the Markdown: what was measured.
        described: more content of the JSON file.
    """
    figure = error_over_noise(result.snrs_db, result.rates)
    text = f"# Robustness to noise\n\n{title}\n\n{tables(result)}\n\n![WER](robustness.png)\n"
    content = {**described, **_numbers(result)}
    with whole_folder(folder) as fresh:
        save_figure(figure, fresh / "robustness.png")
        write_whole(fresh / "robustness.md", text)
        write_whole(fresh / RESULTS, json.dumps(content, ensure_ascii=False, indent=1))
        if folder.exists() and any(folder.iterdir()):
            move_aside(folder)


def _numbers(result: Report) -> dict[str, Any]:
    levels = [level_name(snr) for snr in result.snrs_db]

    def by_level(rates: Sequence[Interval]) -> dict[str, Any]:
        return {level: asdict(rate) for level, rate in zip(levels, rates, strict=True)}

    first = next(iter(result.measured.values()))
    return {
        "wer": {name: by_level(rates) for name, rates in result.rates.items()},
        "difference": {name: by_level(rates) for name, rates in result.differences.items()},
        "by_noise": {
            group: {name: asdict(rates[0]) for name, rates in row.items()}
            for group, row in result.classes.items()
        },
        "levels": levels,
        "utterances": [
            {
                "id": each.id,
                "words": each.words,
                "noise": each.noise,
                "errors": {n: list(m.results[i].errors) for n, m in result.measured.items()},
            }
            for i, each in enumerate(first.results)
        ],
    }


def error_over_noise(
    snrs_db: Sequence[float | None], curves: Mapping[str, Sequence[Interval]]
) -> Figure:
    """Draw WER over the signal-to-noise ratio, a line for each curve in a band of its intervals.

    Args:
        snrs_db: dB; None is speech without noise, which is drawn apart, to the left.
        curves: by name, the error rates at ``snrs_db``.
    """
    figure = Figure(figsize=(8, 4.8), layout="constrained")
    axes = figure.subplots()
    places = _places(snrs_db)
    order = np.argsort(places)
    for number, (name, points) in enumerate(curves.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        x = places[order]
        percent = 100 * np.array([(each.value, each.low, each.high) for each in points])
        rates, low, high = percent[order].T
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
    most = max(each.high for points in curves.values() for each in points)
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
    """Place the levels: noise grows to the right, in dB; clean is one step before."""
    levels = sorted({snr for snr in snrs_db if snr is not None}, reverse=True)
    steps = [before - after for before, after in pairwise(levels)]
    step = float(np.median(steps)) if steps else 5.0
    clean = -(levels[0] + step) if levels else 0.0
    return np.array([clean if snr is None else -snr for snr in snrs_db])
