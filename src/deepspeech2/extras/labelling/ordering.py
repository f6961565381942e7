"""Which utterances are looked at first."""

from __future__ import annotations

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
            first), ``name``, or a file with a path and a score in each line, of which the highest
            comes first and what has none last.

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
        known = (item.name, item.audio, item.utterance.id)
        return max((scores[name] for name in known if name in scores), default=-math.inf)

    return sorted(items, key=score, reverse=True)


def _scores(path: Path) -> dict[str, float]:
    scores = {}
    for number, line in enumerate(path.read_text("utf-8-sig").splitlines(), start=1):
        name, _, score = line.strip().rpartition("\t" if "\t" in line else " ")
        try:
            scores[name.strip()] = float(score or "0")
        except ValueError as error:
            raise ConfigError(
                f"{path}, line {number}, has no score at its end: {line!r}"
            ) from error
    return scores
