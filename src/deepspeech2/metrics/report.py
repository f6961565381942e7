"""What ``calc_wer_cer.py`` reports, before it is written in one of several formats."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from deepspeech2.errors import ConfigError
from deepspeech2.metrics.analysis import (
    Row,
    Slice,
    analyse,
    confusions,
    slices,
    speakers,
    total,
    worst,
)
from deepspeech2.metrics.calibration import reliability
from deepspeech2.metrics.comparison import Comparison, compare
from deepspeech2.metrics.edits import CorpusScore
from deepspeech2.metrics.interval import Interval, bootstrap
from deepspeech2.metrics.predictions import (
    UNLISTED,
    UNRECOGNISED,
    Predictions,
    read_fields,
    read_objects,
    written,
)
from deepspeech2.metrics.tabular import SEPARATORS, read_apart, read_table
from deepspeech2.paths import typed

_NAMED = 5  # utterances in a warning


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is reported besides the rates.

    Attributes:
        worst: how many of the worst utterances.
        confusions: how many of the most frequent confusions.
        by: fields to slice by.
    """

    worst: int = 0
    confusions: int = 0
    by: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Origin:
    """Where predictions come from, as far as is known.

    Attributes:
        date: the day (UTC) of the newest, as in ISO 8601.
        decoders: their names.
        models: SHA-256 of the checkpoints.
    """

    date: str
    decoders: list[str]
    models: list[str]


@dataclass(frozen=True, slots=True)
class Report:
    """A corpus, scored.

    Attributes:
        wer, cer: with their intervals over utterances.
        reliability: of the confidences of words; None where there are none.
        by_speaker: interval of the WER over speakers; None if they are not known.
        confusions: the most frequent of words and characters; empty if they were not wanted.
        slices: by field.
        remarks: by reason the names of utterances that a reader should know of.
        other_rows: by name the utterances of the predictions that were compared with.
        other_origin, other_remarks: as ``origin`` and ``remarks``, of these.
    """

    rows: list[Row]
    origin: Origin
    score: CorpusScore
    wer: Interval
    cer: Interval
    reliability: Mapping[str, Any] | None
    by_speaker: Interval | None
    n_speakers: int
    worst: list[Row] = field(default_factory=list)
    confusions: Mapping[str, dict[str, list[Any]]] = field(default_factory=dict)
    slices: Mapping[str, list[Slice]] = field(default_factory=dict)
    comparison: Comparison | None = None
    other_rows: Mapping[str, Row] = field(default_factory=dict)
    remarks: Mapping[str, list[str]] = field(default_factory=dict)
    other_origin: Origin | None = None
    other_remarks: Mapping[str, list[str]] = field(default_factory=dict)
    skipped: int = 0
    missing: int = 0


def read(dir_path: str | None, pred_dir: str | None, gt_dir: str | None) -> Predictions:
    """Read predictions with references at ``dir_path``, or apart from ``pred_dir`` and ``gt_dir``.

    Paths are found as by :func:`deepspeech2.paths.typed`.

    Raises:
        ConfigError: neither, both or half of them are given.
        ManifestError: see :mod:`deepspeech2.metrics.predictions` and
            :mod:`deepspeech2.metrics.tabular`.
    """
    if dir_path and not (pred_dir or gt_dir):
        path = typed(dir_path)
        found = (read_table if path.suffix.lower() in SEPARATORS else read_objects)(path)
        return replace(found, date=written(path, ".json"))
    if pred_dir and gt_dir and not dir_path:
        path = typed(pred_dir)
        return replace(read_apart(path, typed(gt_dir)), date=written(path, ".txt"))
    raise ConfigError("either --dir_path or both --pred_dir and --gt_dir must be given")


def with_fields(predictions: Predictions, manifest: str) -> Predictions:
    """Add what a manifest of JSON lines has on each utterance.

    Utterances that only one of the two has are noted.
    """
    known = read_fields(typed(manifest))
    entries = []
    for entry in predictions.entries:
        own = {name: value for name, value in entry.fields.items() if value is not None}
        entries.append(replace(entry, fields={**known.get(entry.name, {}), **own}))
    recognised = {entry.name for entry in entries}
    notes = {
        UNLISTED: [entry.name for entry in entries if entry.name not in known],
        UNRECOGNISED: [name for name in known if name not in recognised],
    }
    return replace(predictions, entries=entries, notes=notes)


def report(
    predictions: Predictions,
    normalize: Callable[[str], str],
    wanted: Wanted,
    other: Predictions | None = None,
) -> Report:
    """Score what was read, with both sides normalised alike.

    Args:
        other: another system's predictions for the same utterances, to compare with.

    Raises:
        ConfigError: no utterance has a field to slice by.
        ManifestError: the two cannot be compared.
    """
    rows = analyse(predictions, normalize)
    others = [] if other is None else analyse(other, normalize)
    named = speakers(rows)
    words = [row.words for row in rows]
    units: dict[str, Callable[[str], Sequence[str]]] = {"words": str.split, "characters": str.strip}
    wer, cer = bootstrap(words, [row.characters for row in rows])
    return Report(
        rows=rows,
        origin=_origin(predictions),
        score=total(rows),
        wer=wer,
        cer=cer,
        reliability=reliability(rows),
        by_speaker=None if named is None else bootstrap(words, groups=named)[0],
        n_speakers=0 if named is None else len(set(named)),
        worst=worst(rows, wanted.worst),
        confusions={
            unit: confusions(rows, split).most_frequent(wanted.confusions)
            for unit, split in units.items()
            if wanted.confusions
        },
        slices={name: slices(rows, name) for name in wanted.by},
        comparison=None if other is None else compare(rows, others),
        other_rows={row.name: row for row in others},
        remarks=predictions.remarks(),
        other_origin=None if other is None else _origin(other),
        other_remarks={} if other is None else other.remarks(),
        skipped=sum(map(len, predictions.skipped.values())),
        missing=len(predictions.missing),
    )


def _origin(predictions: Predictions) -> Origin:
    names = [
        sorted({str(entry.fields[key]) for entry in predictions.entries if entry.fields.get(key)})
        for key in ("decoder", "model")
    ]
    return Origin(predictions.date, *names)


def warnings(remarks: Mapping[str, Sequence[str]], of: str = "") -> list[str]:
    """Return a line for each reason for a remark, with some names; ``of`` begins each."""
    return [
        f"{of}{len(names)} {reason}: {', '.join(names[:_NAMED])}"
        + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
        for reason, names in remarks.items()
        if names
    ]
