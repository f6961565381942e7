"""What ``calc_wer_cer.py`` finds, before it is written in one of several ways."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from deepspeech2.errors import ConfigError
from deepspeech2.metrics.analysis import (
    Confusions,
    Row,
    Slice,
    analyse,
    bootstrap,
    confusions,
    slices,
    speakers,
    total,
    worst,
)
from deepspeech2.metrics.comparison import Comparison, compare
from deepspeech2.metrics.interval import Interval
from deepspeech2.metrics.predictions import (
    UNHEARD,
    UNLISTED,
    Predictions,
    read_fields,
    read_objects,
    written,
)
from deepspeech2.metrics.reliability import reliability
from deepspeech2.metrics.score import CorpusScore
from deepspeech2.metrics.tables import TABLES, read_apart, read_table
from deepspeech2.paths import typed

_NAMED = 5


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is reported besides the rates.

    Attributes:
        worst: so many of the worst utterances.
        confusions: so many of the most frequent confusions.
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
    """What was found.

    Attributes:
        origin: of the predictions; ``other_origin``: of those that were compared with.
        wer, cer: with their intervals over utterances.
        reliability: of the confidences of words; None where there are none.
        by_speaker: interval of the WER over speakers; None if they are not known.
        n_speakers: how many there are.
        words, characters: confusions; None if nobody asked.
        slices: by field.
        remarks: by reason the names of utterances that a reader should know of.
        other_rows: by name the utterances of the predictions that were compared with.
        other_remarks: as ``remarks``, of these.
    """

    rows: list[Row]
    origin: Origin
    score: CorpusScore
    wer: Interval
    cer: Interval
    reliability: Mapping[str, Any] | None
    by_speaker: Interval | None
    n_speakers: int
    wanted: Wanted
    worst: list[Row] = field(default_factory=list)
    words: Confusions | None = None
    characters: Confusions | None = None
    slices: Mapping[str, list[Slice]] = field(default_factory=dict)
    comparison: Comparison | None = None
    other_rows: Mapping[str, Row] = field(default_factory=dict)
    remarks: Mapping[str, list[str]] = field(default_factory=dict)
    other_origin: Origin | None = None
    other_remarks: Mapping[str, list[str]] = field(default_factory=dict)
    skipped: int = 0
    missing: int = 0


def read(dir_path: str | None, pred_dir: str | None, gt_dir: str | None) -> Predictions:
    """Read from whichever of the two ways was asked for; paths as :func:`deepspeech2.paths.typed`
    finds them.

    Raises:
        ConfigError: neither, both or half of them.
        ManifestError: see :mod:`deepspeech2.metrics.predictions` and
            :mod:`deepspeech2.metrics.tables`.
    """
    if dir_path and not (pred_dir or gt_dir):
        path = typed(dir_path)
        found = (read_table if path.suffix.lower() in TABLES else read_objects)(path)
        return replace(found, date=written(path, ".json"))
    if pred_dir and gt_dir and not dir_path:
        path = typed(pred_dir)
        return replace(read_apart(path, typed(gt_dir)), date=written(path, ".txt"))
    raise ConfigError("either --dir_path or both --pred_dir and --gt_dir must be given")


def with_fields(predictions: Predictions, manifest: str) -> Predictions:
    """The same with what a manifest of JSON lines says of each utterance.

    Utterances that only one of the two has are noted.
    """
    known = read_fields(typed(manifest))
    entries = [
        replace(entry, fields={**known.get(entry.name, {}), **_given(entry.fields)})
        for entry in predictions.entries
    ]
    heard = {entry.name for entry in entries}
    notes = {
        UNLISTED: [entry.name for entry in entries if entry.name not in known],
        UNHEARD: [name for name in known if name not in heard],
    }
    return replace(predictions, entries=entries, notes=notes)


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


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
        ConfigError: a field to slice by is not there.
        ManifestError: the two cannot be compared.
    """
    rows = analyse(predictions, normalize)
    others = [] if other is None else analyse(other, normalize)
    named = speakers(rows)
    words = [row.words for row in rows]
    asked = wanted.confusions > 0
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
        wanted=wanted,
        worst=worst(rows, wanted.worst),
        words=confusions(rows, str.split) if asked else None,
        characters=confusions(rows, str.strip) if asked else None,
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
    """A line for every reason for which utterances are worth a remark; ``of`` begins each."""
    return [
        f"{of}{len(names)} {reason}: {', '.join(names[:_NAMED])}"
        + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
        for reason, names in remarks.items()
        if names
    ]
