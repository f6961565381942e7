"""What a folder of transcripts is worth: counts, rates and their intervals. Imports no torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepspeech2.errors import ManifestError
from deepspeech2.metrics.edits import EditCounts, character_edits, word_edits
from deepspeech2.metrics.interval import interval, resampled_rates
from deepspeech2.metrics.predictions import FAILED, read_objects
from deepspeech2.metrics.report import warnings
from deepspeech2.text.normalization import Normalizer
from results.rows import Rate

SIZES = {"dev-clean": 2703, "dev-other": 2864, "test-clean": 2620, "test-other": 2939}
"""Utterances of LibriSpeech's splits: half of one under its whole name misleads."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A folder of transcripts, scored.

    Attributes:
        decoder: what the transcripts name as their decoder.
        unreadable: utterances whose audio could not be read; they are not scored.
        sha256: of a JSON list [reference, hypothesis] a line, normalised, in the order of files.
        warnings: a line for each reason for which utterances are not scored.
    """

    decoder: str
    utterances: int
    unreadable: int
    wer: Rate
    cer: Rate
    sha256: str
    warnings: list[str]


def score(folder: Path, test_set: str) -> Scored:
    """Score the ``*.json`` that ``inference.py`` left in ``folder``.

    Args:
        test_set: what the row will call it; a split of LibriSpeech must be whole.

    Raises:
        ManifestError: there are none, they are of several decoders, or a split is not whole.
    """
    predictions = read_objects(folder)
    normalize = Normalizer()
    pairs = [(normalize(text), normalize(heard)) for text, heard in predictions.pairs]
    unreadable = len(predictions.skipped[FAILED])
    whole = SIZES.get(test_set)
    if whole is not None and len(pairs) + unreadable != whole:
        raise ManifestError(
            f"{folder} holds {len(pairs) + unreadable} utterances, but {test_set} has {whole}:"
            " recognise the rest, or name what it is with --test-set"
        )
    lines = "".join(json.dumps(pair, ensure_ascii=False) + "\n" for pair in pairs)
    return Scored(
        _decoder(folder),
        len(pairs),
        unreadable,
        _rate([word_edits(*pair) for pair in pairs]),
        _rate([character_edits(*pair) for pair in pairs]),
        hashlib.sha256(lines.encode()).hexdigest(),
        warnings(predictions.skipped),
    )


def _rate(edits: Sequence[EditCounts]) -> Rate:
    """The corpus' rate, with the bounds of :mod:`deepspeech2.metrics.interval`."""
    whole = sum(edits, EditCounts())
    errors = np.array([[each.errors for each in edits]])
    sizes = np.array([[each.reference for each in edits]])
    found = interval(whole.rate, resampled_rates(errors, sizes)[0])
    return Rate(
        found.value,
        found.low,
        found.high,
        whole.substitutions,
        whole.deletions,
        whole.insertions,
        whole.reference,
    )


def _decoder(folder: Path) -> str:
    names = set()
    for file in folder.rglob("*.json"):
        content = json.loads(file.read_text(encoding="utf-8-sig"))
        if isinstance(content, dict) and "error" not in content:
            names.add(str(content.get("decoder")))
    if len(names) != 1 or "None" in names:
        raise ManifestError(
            f"{folder} must hold the transcripts of one decoder, but names"
            f" {', '.join(sorted(names)) or 'none'}: recognise again with inference.py"
        )
    return names.pop()
