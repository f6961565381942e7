"""Which utterances are looked at first."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from deepspeech2.errors import ConfigError
from deepspeech2.extras.labelling.recordings import Item


def order(items: Sequence[Item], by: str) -> list[Item]:
    """Sort items, what is to be looked at first at the front.

    Args:
        by: ``doubt``, ``difference``, ``confidence`` (the least first), ``duration`` (the shortest
            first), ``name``, or a file with a path and a score in each line, or with JSON lines
            as ``suspects.jsonl``, of which the highest comes first and what has none last.

    Raises:
        ConfigError: it is none of these, or a line has no score.
    """
    keys: dict[str, Callable[[Item], Any]] = {
        "doubt": lambda item: -item.doubt,
        "difference": lambda item: -item.difference,
        "confidence": lambda item: item.heard.confidence,
        "duration": lambda item: item.utterance.duration,
        "name": lambda item: item.name,
    }
    if by in keys:
        return sorted(items, key=keys[by])
    path = Path(by)
    if not path.is_file():
        raise ConfigError(f"--order must be one of {', '.join(keys)}, or a file, but is {by!r}")
    scores = _scores(path)

    def score(item: Item) -> float:
        whole = f"{item.utterance.audio.resolve()}{_part(item.utterance.offset)}"
        known = (item.name, item.audio, item.utterance.id, whole)
        return max((scores[name] for name in known if name in scores), default=-math.inf)

    return sorted(items, key=score, reverse=True)


def _part(offset: float) -> str:
    return f"#{offset:g}" if offset else ""


def _scores(path: Path) -> dict[str, float]:
    scores = {}
    for number, line in enumerate(path.read_text("utf-8-sig").splitlines(), start=1):
        try:
            name, score = _score(line.strip())
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{path}, line {number}, has no path and score: {line!r}") from error
        scores[name] = score
    return scores


def _score(line: str) -> tuple[str, float]:
    if not line.startswith("{"):
        name, _, score = line.rpartition("\t" if "\t" in line else " ")
        return name.strip(), float(score or "0")
    row = json.loads(line)
    value = row["suspicion"] if "suspicion" in row else row["score"]
    # one that is beyond any number is null
    return f"{row['audio_filepath']}{_part(row.get('offset') or 0)}", (
        math.inf if value is None else float(value)
    )
