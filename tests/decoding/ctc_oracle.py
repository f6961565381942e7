"""Sums over all alignments of short inputs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from torch import Tensor

from deepspeech2.text import TextEncoder


def collapse(alignment: tuple[int, ...]) -> tuple[int, ...]:
    """Labels of an alignment: repeats merged, blanks (0) dropped."""
    return tuple(token for token, _ in itertools.groupby(alignment) if token != 0)


def first_of_each_text(
    ranked: Sequence[tuple[tuple[int, ...], float]], encoder: TextEncoder
) -> list[tuple[tuple[int, ...], float]]:
    """Of labels, best first, those whose text no better ones have."""
    found: dict[str, tuple[tuple[int, ...], float]] = {}
    for labels, score in ranked:
        found.setdefault(" ".join(encoder.decode(labels).split()), (labels, score))
    return list(found.values())


def all_transcripts(frames: Tensor) -> dict[tuple[int, ...], float]:
    """The log-probability of every labelling of (T, V) log-probabilities."""
    rows = frames.tolist()
    found: dict[tuple[int, ...], list[float]] = {}
    for alignment in itertools.product(range(frames.shape[1]), repeat=frames.shape[0]):
        probability = math.exp(sum(row[token] for row, token in zip(rows, alignment, strict=True)))
        found.setdefault(collapse(alignment), []).append(probability)
    return {labels: math.log(math.fsum(parts)) for labels, parts in found.items()}


def best_alignment(frames: Tensor, labels: tuple[int, ...]) -> tuple[int, ...]:
    """The most probable alignment of ``labels``."""
    rows = frames.tolist()
    alignments = itertools.product(range(frames.shape[1]), repeat=frames.shape[0])
    return max(
        (alignment for alignment in alignments if collapse(alignment) == labels),
        key=lambda path: sum(row[token] for row, token in zip(rows, path, strict=True)),
    )


def starts(alignment: tuple[int, ...]) -> tuple[int, ...]:
    """The first frame of every label's run."""
    previous = (0, *alignment)[: len(alignment)]
    return tuple(
        index
        for index, (before, token) in enumerate(zip(previous, alignment, strict=True))
        if token not in (0, before)
    )
