"""Where the errors are: utterances, words, characters, slices, and how sure a rate is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepspeech2.errors import ConfigError
from deepspeech2.metrics.alignment import align
from deepspeech2.metrics.edits import EditCounts, character_edits, word_edits
from deepspeech2.metrics.interval import Interval, interval, resampled_rates
from deepspeech2.metrics.predictions import Predictions
from deepspeech2.metrics.score import CorpusScore

_DRAWS = (1_000, 10_000)  # of a bootstrap, at least and at most
_WORK = 5_000_000  # drawn utterances altogether that are a matter of a second
_GROUPS = 12  # so many values of a number are shown as they are, more in ranges
_NAMES = ("id", "speaker", "chapter", "channel", "session", "book", "recording", "room", "device")
"""Fields whose numbers are names, as are those that end with ``_id``: never put in ranges."""
_DURATIONS = (0.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0)  # s


@dataclass(frozen=True, slots=True)
class Row:
    """An utterance with its edits; texts are normalised."""

    name: str
    reference: str
    hypothesis: str
    words: EditCounts
    characters: EditCounts
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Slice:
    """Some utterances that have a value in common."""

    value: str
    score: CorpusScore
    interval: Interval


@dataclass(frozen=True, slots=True)
class Confusions:
    """How often something became something else, was left out, or was put in."""

    substitutions: Counter[tuple[str, str]]
    deletions: Counter[str]
    insertions: Counter[str]


def analyse(predictions: Predictions, normalize: Callable[[str], str]) -> list[Row]:
    """The edits of every utterance, both texts normalised alike."""
    rows = []
    for entry in predictions.entries:
        reference, hypothesis = normalize(entry.reference), normalize(entry.hypothesis)
        words = word_edits(reference, hypothesis)
        characters = character_edits(reference, hypothesis)
        rows.append(Row(entry.name, reference, hypothesis, words, characters, entry.fields))
    return rows


def total(rows: Iterable[Row]) -> CorpusScore:
    """The score of them together."""
    score = CorpusScore()
    for row in rows:
        score.words += row.words
        score.characters += row.characters
        score.utterances += 1
        score.wer_sum += row.words.rate
        score.cer_sum += row.characters.rate
    return score


def bootstrap(*counts: Sequence[EditCounts], groups: Sequence[Any] | None = None) -> list[Interval]:
    """Rates of a corpus and where they would lie had other utterances been drawn.

    Args:
        counts: (U) of each utterance, for each rate; all rates share their draws.
        groups: (U) who speaks, to draw speakers, with all they say, in place of utterances.
    """
    errors = np.array([[each.errors for each in own] for own in counts], np.int64)
    lengths = np.array([[each.reference for each in own] for own in counts], np.int64)
    if groups is not None:
        numbers = np.unique([str(group) for group in groups], return_inverse=True)[1]
        errors = np.array([np.bincount(numbers, own) for own in errors]).astype(np.int64)
        lengths = np.array([np.bincount(numbers, own) for own in lengths]).astype(np.int64)
    n_draws = int(np.clip(_WORK // max(errors.shape[1], 1), *_DRAWS))
    draws = resampled_rates(errors, lengths, n_draws=n_draws)
    rates = errors.sum(1) / np.maximum(lengths.sum(1), 1)
    return [interval(float(rate), own) for rate, own in zip(rates, draws, strict=True)]


def speakers(rows: Sequence[Row]) -> list[str] | None:
    """Who speaks in each utterance; None unless that is known of all, and there are two."""
    named = [row.fields.get("speaker") for row in rows]
    if any(name is None or name == "" for name in named) or len(set(map(str, named))) < 2:
        return None
    return list(map(str, named))


def worst(rows: Sequence[Row], count: int) -> list[Row]:
    """Utterances with the most word errors, those of the higher rate first among equals."""
    return sorted(rows, key=lambda row: (-row.words.errors, -row.words.rate, row.name))[:count]


def confusions(rows: Iterable[Row], split: Callable[[str], Sequence[str]]) -> Confusions:
    """What became what.

    Args:
        split: a text into words (``str.split``) or characters (``str.strip``).
    """
    found = Confusions(Counter(), Counter(), Counter())
    for row in rows:
        if not row.characters.errors:
            continue
        for step in align(split(row.reference), split(row.hypothesis)):
            if step.hypothesis is None and step.reference is not None:
                found.deletions[step.reference] += 1
            elif step.reference is None and step.hypothesis is not None:
                found.insertions[step.hypothesis] += 1
            elif step.reference != step.hypothesis:
                found.substitutions[step.reference or "", step.hypothesis or ""] += 1
    return found


def slices(rows: Sequence[Row], field: str) -> list[Slice]:
    """The score for each value of a field, or each range of a number with many values.

    Raises:
        ConfigError: no utterance has the field; names those that there are.
    """
    values = [row.fields.get(field) for row in rows]
    if all(value is None for value in values):
        known = sorted({name for row in rows for name in row.fields})
        raise ConfigError(f"no utterance has a field {field!r}: there are {', '.join(known) or 0}")
    label = _labels(values, field)
    groups: dict[str, list[Row]] = {}
    for row, value in zip(rows, values, strict=True):
        groups.setdefault(label(value), []).append(row)
    return [
        Slice(name, total(group), bootstrap([row.words for row in group])[0])
        for name, group in sorted(groups.items(), key=lambda item: _order(item[0]))
    ]


def _labels(values: Sequence[Any], field: str) -> Callable[[Any], str]:
    """What a value is called: numbers of many values go into ranges, names never do."""
    numbers = [each for each in map(number, values) if each is not None]
    known = sum(value is not None and value != "" for value in values)
    named = field.lower() in _NAMES or field.lower().endswith("_id")
    if named or len(numbers) < known or len(set(numbers)) <= _GROUPS:
        return lambda value: "unknown" if value is None or value == "" else str(value)
    edges = np.array(_DURATIONS if field == "duration" else _quarters(numbers))
    return lambda value: _range(number(value), edges)


def _quarters(numbers: Sequence[float]) -> NDArray[np.float64]:
    return np.unique(np.percentile(numbers, (0, 25, 50, 75)))


def _range(value: float | None, edges: NDArray[np.float64]) -> str:
    if value is None:
        return "unknown"
    place = int(np.searchsorted(edges, value, side="right"))
    if place >= len(edges):
        return f"{edges[-1]:g} and more"
    return f"{edges[place - 1]:g} to {edges[place]:g}" if place else f"below {edges[0]:g}"


def number(value: Any) -> float | None:
    """A field's value, which tables have as text, as a finite number; None if it is none."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None


def _order(name: str) -> tuple[int, float, str]:
    """Numbers by size, then names, then what is unknown."""
    first = number(name.split()[0]) if name.split() else None
    if name == "unknown":
        return 2, 0.0, name
    return (0, first, name) if first is not None else (1, 0.0, name)
