"""The record of a sweep, and the table over it: mean and spread over seeds of each setting.

Imports no numpy, because the command line imports this before it checks a config.
"""

from __future__ import annotations

import json
import math
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from deepspeech2.errors import ConfigError
from deepspeech2.files import safe_name
from deepspeech2.tables import markdown_table

RECORD, TABLE = "sweep.jsonl", "sweep.md"
SEED = "trainer.seed"
_METRICS = "metrics.jsonl"
_KINDS = ("", "_ema", "_mean")  # of weights, behind the part in a metric's name
_RATE = re.compile(r"[/_][WC]ER_\(")
_SHOWN = re.compile(r"(?!train/).+/.+_\(.+\)")  # error rates and own metrics, of any decoder
# 97.5 % quantiles of Student's t with 1, 2, ... degrees of freedom; the last serves for more, for
# which it is a little too wide
_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class JobRecord:
    """One job of a sweep, as a line of ``sweep.jsonl``.

    Attributes:
        number: in its sweep, from 0.
        name: of its folder: the overrides, as in ``optimizer.lr=0.001,trainer.seed=1``.
        settings: the overrides by key.
        status: 0, or the exit status that the command would have alone.
        value: the best monitored value; None if there is none.
        error: one sentence; None for a job that ended well.
        seconds: that it took.
    """

    number: int
    name: str
    settings: dict[str, str]
    status: int
    value: float | None
    error: str | None
    seconds: float


def records(content: bytes) -> list[JobRecord]:
    """The lines that are whole; a process that is killed may leave half of one."""
    names = {field.name for field in fields(JobRecord)}
    return [JobRecord(**line) for line in _lines(content) if set(line) == names]


def read_record(folder: Path) -> list[JobRecord]:
    """Return the latest line of each job in a sweep's folder, in the order of their first ones.

    Raises:
        ConfigError: no sweep has run there.
    """
    path = folder / RECORD
    if not path.is_file():
        raise ConfigError(f"{folder} contains no {RECORD}: name the folder of a sweep")
    return list({job.name: job for job in records(path.read_bytes())}.values())


def sweep_table(folder: Path, metric: str, sign: int) -> str:
    """Return a Markdown table of all jobs in a sweep's folder, a row for each setting but the seed.

    Each metric is that of the epoch with the best monitored value, or of the test of the best
    weights: its mean over seeds and, of two or more, the standard deviation (n - 1). The last
    column, if any two rows share two seeds, is the difference to the first row of the monitored
    metric, with the 95 % interval of Student's paired t-test over the seeds of both.

    Args:
        metric: monitored, part first; empty if none is.
        sign: 1 if smaller is better, -1 if larger is.
    """
    rows = _rows(folder, metric, sign)
    names = list(dict.fromkeys(name for row in rows for each in row.done for name in each.values))
    keys = list(dict.fromkeys(key for row in rows for key in row.settings))
    differences = [_difference(row, rows[0], metric) for row in rows]
    means = [sign * row.mean(metric) for row in rows if row.seeded(metric)]
    header = [*keys, "jobs", *(_title(name) for name in names)]
    lines = []
    for row in rows:
        cells = [_spread(list(row.seeded(name).values()), name) for name in names]
        if metric in names and row.seeded(metric) and sign * row.mean(metric) == min(means):
            cells[names.index(metric)] += " *"
        lines.append([*(_short(row.settings.get(key, "")) for key in keys), row.count, *cells])
    if any(differences):
        header.append("difference to the first")
        lines = [[*line, shown] for line, shown in zip(lines, differences, strict=True)]
    right = range(len(keys), len(header))
    return markdown_table(header, lines, right=right, padded=True)


@dataclass(frozen=True, slots=True)
class _Job:
    seed: str
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class _Row:
    """The jobs of one setting: those that ended well, and how many failed."""

    settings: Mapping[str, str]
    done: Sequence[_Job]
    failed: int

    @property
    def count(self) -> str:
        failed = f"{self.failed} failed" if self.failed else ""
        return ", ".join(filter(None, (str(len(self.done) or ""), failed)))

    def seeded(self, name: str) -> dict[str, float]:
        """Seed to value."""
        return {job.seed: job.values[name] for job in self.done if name in job.values}

    def mean(self, name: str) -> float:
        return statistics.fmean(self.seeded(name).values())


def _rows(folder: Path, metric: str, sign: int) -> list[_Row]:
    grouped: dict[tuple[tuple[str, str], ...], list[JobRecord]] = {}
    for job in read_record(folder):
        settings = tuple((key, text) for key, text in job.settings.items() if key != SEED)
        grouped.setdefault(settings, []).append(job)
    return [
        _Row(
            dict(settings),
            [
                _Job(job.settings.get(SEED, ""), _job_metrics(folder, job, metric, sign))
                for job in jobs
                if not job.status
            ],
            sum(job.status != 0 for job in jobs),
        )
        for settings, jobs in grouped.items()
    ]


def _job_metrics(folder: Path, job: JobRecord, metric: str, sign: int) -> dict[str, float]:
    """The monitored value of a job first, by ``metric``, then the others by their logged names."""
    path = (folder / safe_name(job.name) if job.name else folder) / _METRICS
    lines = list(_lines(path.read_bytes())) if path.is_file() else []
    best: dict[str, float] = {}
    lowest = math.inf
    for line in lines:
        for kind in _KINDS:
            # without the kind, as ``trainer.monitor`` compares them
            values = {
                name.replace(f"{kind}/", "/"): value
                for name, value in line.items()
                if "/" in name and _kind(name) == kind and value is not None
            }
            cost = {name.replace("/", "_"): sign * value for name, value in values.items()}
            if cost.get(metric, math.inf) < lowest:
                lowest, best = cost[metric], values
    # corpora that the best epoch has not measured were tested with its weights in the end; without
    # a metric to choose by, the last epoch is the best
    measured = {_part(name) for name in best}
    last = {
        name: value
        for line in lines
        for name, value in line.items()
        if value is not None
        and _part(name) not in measured
        and not _part(name).endswith(_KINDS[1:])
    }
    found = {name: value for name, value in (best | last).items() if _SHOWN.fullmatch(name)}
    if job.value is None:
        return found
    others = {name: v for name, v in found.items() if name.replace("/", "_") != metric}
    return {metric: job.value, **others}


def _part(name: str) -> str:
    return name.partition("/")[0]


def _kind(name: str) -> str:
    return next((kind for kind in _KINDS if kind and _part(name).endswith(kind)), "")


def _difference(row: _Row, first: _Row, metric: str) -> str:
    """How much the monitored metric of a row is above that of the first, with its interval."""
    ours, theirs = row.seeded(metric), first.seeded(metric)
    pairs = [ours[seed] - theirs[seed] for seed in ours if seed in theirs]
    if row is first or len(pairs) < 2:
        return ""
    mean = statistics.fmean(pairs)
    half = _T[min(len(pairs) - 1, len(_T)) - 1] * statistics.stdev(pairs) / math.sqrt(len(pairs))
    scale = 100 if _RATE.search(metric) else 1
    digits = 2 if scale > 1 else 4
    low, middle, high = (f"{scale * each:+.{digits}f}" for each in (mean - half, mean, mean + half))
    return f"{middle} [{low}, {high}]"


def _spread(values: Sequence[float], name: str) -> str:
    if not values:
        return ""
    scale, digits = (100, 2) if _RATE.search(name) else (1, 4)
    mean = f"{scale * statistics.fmean(values):.{digits}f}"
    return mean if len(values) < 2 else f"{mean} ± {scale * statistics.stdev(values):.{digits}f}"


def _title(name: str) -> str:
    return f"{name}, %" if _RATE.search(name) else name


def _short(setting: str) -> str:
    """A number that Optuna has drawn, with four digits; ``sweep.jsonl`` has all of them."""
    try:
        return setting if len(setting) < 9 else f"{float(setting):.4g}"
    except ValueError:
        return setting


def _lines(content: bytes) -> Iterator[dict[str, Any]]:
    """The objects in JSON lines, without what is cut off."""
    for line in content.decode("utf-8", "replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            yield row
