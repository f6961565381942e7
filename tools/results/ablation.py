"""What each change of a recipe brings: runs that differ from a base in one thing.

A run's folder tells all: ``config.yaml`` how it differs from the base, ``metrics.jsonl`` how it
ended. Runs that differ in nothing but the seed are one row.
"""

from __future__ import annotations

import itertools
import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from deepspeech2.errors import ManifestError
from deepspeech2.files import write_whole

_UNTOLD = ("writer.", "trainer.seed", "trainer.save_dir", "trainer.resume_from", "trainer.override")
_PLACES = ("data_dir", "cache_dir", "noise_dir", "log_step", "save_every", "save_period", "threads")
_PAUSE = 600  # seconds between two lines of metrics; a run that waits longer was interrupted


@dataclass(frozen=True, slots=True)
class Run:
    """How one run ended.

    Attributes:
        name: of the run's folder.
        changes: config keys in which it differs from the base; None for a key it lacks.
        wer, cer: of the model that it kept, on what it was validated with, as fractions.
        loss: nats per character of the last epoch's weights, or their average if that is lower.
        weights: plain or average: which of the two was kept.
        epochs: that it ran.
        minutes: of training, with validation.
    """

    name: str
    seed: int | None
    changes: dict[str, Any]
    wer: float
    cer: float
    loss: float
    weights: str
    epochs: int
    minutes: float


def read_run(folder: Path, base: Path) -> Run:
    """The run in ``folder`` beside the one in ``base``.

    Raises:
        ManifestError: a file is missing, the run has validated nothing, or its last epoch is
            not the last that its config asks for.
    """
    config, other = _config(folder), _config(base)
    changes = {
        key: config.get(key)
        for key in sorted(config.keys() | other.keys())
        if config.get(key) != other.get(key) and not _is_place(key)
    }
    epochs = _epochs(folder)
    wanted = config.get("trainer.n_epochs")
    if len(epochs) != wanted and not config.get("trainer.early_stop"):
        raise ManifestError(
            f"{folder} has finished {len(epochs)} of {wanted} epochs: let it run to its end"
        )
    kept = min(
        ((part, row) for row in epochs for part in ("val", "val_ema") if f"{part}/loss" in row),
        key=lambda each: _rate(each[1], each[0], "WER"),
    )
    found = [epochs[-1].get(f"{part}/loss") for part in ("val", "val_ema")]
    losses = [loss for loss in found if loss is not None]
    if not losses:
        raise ManifestError(f"{folder} ended with a loss that is not finite: leave it out")
    return Run(
        name=folder.resolve().name,
        seed=config.get("trainer.seed"),
        changes=changes,
        wer=_rate(kept[1], kept[0], "WER"),
        cer=_rate(kept[1], kept[0], "CER"),
        loss=min(losses),
        weights="plain" if kept[0] == "val" else "average",
        epochs=len(epochs),
        minutes=round(_minutes(folder), 1),
    )


def _config(folder: Path) -> dict[str, Any]:
    try:
        return dict(_flat(yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))))
    except (OSError, yaml.YAMLError) as error:
        raise ManifestError(f"{folder} is no folder of a run: {error}") from error


def _flat(node: Any, prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Keys with dots, and their values; a list of numbers is a value."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _flat(value, f"{prefix}{key}.")
    elif isinstance(node, list) and any(isinstance(each, Mapping) for each in node):
        for number, value in enumerate(node):
            yield from _flat(value, f"{prefix}{number}.")
    else:
        yield prefix.rstrip("."), node


def _is_place(key: str) -> bool:
    return key.startswith(_UNTOLD) or key.rpartition(".")[2] in _PLACES


def _epochs(folder: Path) -> list[dict[str, Any]]:
    """What was validated, an epoch each; of an epoch that was repeated the last."""
    found: dict[int, dict[str, Any]] = {}
    try:
        lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        for line in lines:
            row = json.loads(line)
            if any(key.startswith(("val/", "val_ema/")) for key in row):
                found.setdefault(row["step"], {}).update(row)
    except (OSError, ValueError) as error:
        raise ManifestError(f"{folder} has no metrics that can be read: {error}") from error
    if not found:
        raise ManifestError(f"{folder} has validated nothing yet: let it run to its end")
    return [found[step] for step in sorted(found)]


def _minutes(folder: Path) -> float:
    """Between the first time stamp and the last, without the pauses between."""
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    times = sorted(json.loads(line)["time"] for line in lines)
    steps = [after - before for before, after in itertools.pairwise(times)]
    return float(sum(step for step in steps if step < _PAUSE)) / 60


def _rate(row: Mapping[str, Any], part: str, kind: str) -> float:
    """Greedy: of whatever decoder else the run was validated with, rows would not be alike."""
    return float(row[f"{part}/{kind}_(Argmax)"])


def write_runs(path: Path, runs: Sequence[Run]) -> None:
    """All ``runs``, a line each."""
    lines = [json.dumps(asdict(run), sort_keys=True) for run in runs]
    write_whole(path, "".join(f"{line}\n" for line in lines))


def read_runs(path: Path) -> list[Run]:
    """What :func:`write_runs` wrote; none where there is no file.

    Raises:
        ManifestError: a line is none; names its number.
    """
    if not path.exists():
        return []
    names = {field.name for field in fields(Run)}
    runs = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            content = json.loads(line)
        except ValueError as error:
            raise ManifestError(f"{path}, line {number}: {error}") from error
        if not isinstance(content, dict) or set(content) != names:
            raise ManifestError(f"{path}, line {number}: is not what a run is; delete it")
        runs.append(Run(**content))
    return runs


@dataclass(frozen=True, slots=True)
class Row:
    """Runs that differ in nothing but the seed, as means."""

    name: str
    changes: dict[str, Any]
    runs: list[Run]

    def mean(self, key: str) -> float:
        """Of one of the runs' figures."""
        return statistics.fmean(getattr(run, key) for run in self.runs)

    @property
    def spread(self) -> float | None:
        """Standard deviation of the WER over seeds; None of one seed."""
        return statistics.stdev(run.wer for run in self.runs) if len(self.runs) > 1 else None


def rows(runs: Iterable[Run]) -> list[Row]:
    """The base, then the others, the best first.

    Raises:
        ManifestError: no run is the base.
    """
    groups: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        groups[json.dumps(run.changes, sort_keys=True)].append(run)
    if "{}" not in groups:
        raise ManifestError("no run is the base: name a run without changes first")
    found = []
    for group in groups.values():
        by_seed = sorted(group, key=lambda run: (run.seed or 0, run.name))
        found.append(Row(by_seed[0].name, by_seed[0].changes, by_seed))
    return sorted(found, key=lambda row: (bool(row.changes), row.mean("wer"), row.name))
