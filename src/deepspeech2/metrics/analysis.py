"""Where the errors are: utterances, words, characters, slices."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepspeech2.errors import ConfigError
from deepspeech2.metrics.edits import (
    CorpusScore,
    EditCounts,
    align,
    character_edits,
    word_edits,
)
from deepspeech2.metrics.interval import Interval, bootstrap
from deepspeech2.metrics.predictions import Predictions

_GROUPS = 12  # values of a number that are shown as they are; more are put in ranges
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
    """The score of the utterances that have a value in common."""

    value: str
    score: CorpusScore
    interval: Interval


@dataclass(frozen=True, slots=True)
class Confusions:
    """How often a word or character was substituted, deleted or inserted."""

    substitutions: Counter[tuple[str, str]]
    deletions: Counter[str]
    insertions: Counter[str]

    def most_frequent(self, count: int) -> dict[str, list[Any]]:
        """Return the most frequent of each, as lists of texts and number; alphabetic if equal."""

        def first(counter: Counter[Any]) -> list[tuple[Any, int]]:
            return sorted(counter.items(), key=lambda item: (-item[1], item[0]))[:count]

        return {
            "substitutions": [[*map(_named, pair), n] for pair, n in first(self.substitutions)],
            "deletions": [[_named(text), n] for text, n in first(self.deletions)],
            "insertions": [[_named(text), n] for text, n in first(self.insertions)],
        }


def _named(text: str) -> str:
    return "space" if text == " " else text


def analyse(predictions: Predictions, normalize: Callable[[str], str]) -> list[Row]:
    """Return the edits of every utterance, both texts normalised alike."""
    rows = []
    for entry in predictions.entries:
        reference, hypothesis = normalize(entry.reference), normalize(entry.hypothesis)
        words = word_edits(reference, hypothesis)
        characters = character_edits(reference, hypothesis)
        rows.append(Row(entry.name, reference, hypothesis, words, characters, entry.fields))
    return rows


def total(rows: Iterable[Row]) -> CorpusScore:
    """Return the score of some utterances together."""
    score = CorpusScore()
    for row in rows:
        score.count(row.words, row.characters)
    return score


def speakers(rows: Sequence[Row]) -> list[str] | None:
    """Who speaks in each utterance; None unless that is known of all, and there are two."""
    given = [row.fields.get("speaker") for row in rows]
    names = [str(name) for name in given if name is not None and name != ""]
    return names if len(names) == len(given) and len(set(names)) > 1 else None


def worst(rows: Sequence[Row], count: int) -> list[Row]:
    """Return the utterances with the most word errors, among equals those of the higher rate."""
    return sorted(rows, key=lambda row: (-row.words.errors, -row.words.rate, row.name))[:count]


def confusions(rows: Iterable[Row], split: Callable[[str], Sequence[str]]) -> Confusions:
    """Count what became what.

    Args:
        split: a text into words (``str.split``) or characters (``str.strip``).
    """
    counts = Confusions(Counter(), Counter(), Counter())
    for row in rows:
        if not row.characters.errors:
            continue
        for step in align(split(row.reference), split(row.hypothesis)):
            if step.hypothesis is None and step.reference is not None:
                counts.deletions[step.reference] += 1
            elif step.reference is None and step.hypothesis is not None:
                counts.insertions[step.hypothesis] += 1
            elif step.reference != step.hypothesis:
                counts.substitutions[step.reference or "", step.hypothesis or ""] += 1
    return counts


def slices(rows: Sequence[Row], field: str) -> list[Slice]:
    """Return the score for each value of a field, or each range of a number with many values.

    Raises:
        ConfigError: no utterance has the field; names those that exist.
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
    """Return what labels a value: numbers of many values go into ranges, names never do."""
    numbers = [each for each in map(number, values) if each is not None]
    known = sum(value is not None and value != "" for value in values)
    named = field.lower() in _NAMES or field.lower().endswith("_id")
    if named or len(numbers) < known or len(set(numbers)) <= _GROUPS:
        return lambda value: "unknown" if value is None or value == "" else str(value)
    quarters = np.unique(np.percentile(numbers, (0, 25, 50, 75)))
    edges = np.array(_DURATIONS) if field == "duration" else quarters
    return lambda value: _range(number(value), edges)


def _range(value: float | None, edges: NDArray[np.float64]) -> str:
    if value is None:
        return "unknown"
    place = int(np.searchsorted(edges, value, side="right"))
    if place >= len(edges):
        return f"{edges[-1]:g} and more"
    return f"{edges[place - 1]:g} to {edges[place]:g}" if place else f"below {edges[0]:g}"


def number(value: Any) -> float | None:
    """Return a field's value, which tables have as text, as a finite number, or None."""
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
