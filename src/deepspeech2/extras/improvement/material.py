"""What a round learns from, and what it is tested on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from deepspeech2.errors import ConfigError
from deepspeech2.metrics.comparison import Comparison

Row = dict[str, Any]
_UP = PurePosixPath("../..")  # from a round's folder to that of the corpus


@dataclass(frozen=True, slots=True)
class Material:
    """Rows of manifests in a round's folder; ``corrected`` and ``sure`` have weights."""

    corrected: list[Row]
    sure: list[Row]
    test: list[Row]


def held_out(groups: Iterable[str], share: float) -> set[str]:
    """Choose whose utterances are tested on, by a hash of each name.

    So a speaker stays on one side when others come, which of few speakers only the one with the
    smallest hash and the one with the largest need not do: each side has one.

    Raises:
        ConfigError: there are fewer than two.
    """
    order = sorted(set(groups), key=_point)
    if len(order) < 2:
        raise ConfigError(
            f"a test needs corrected utterances of at least 2 speakers or recordings, but there are"
            f" {len(order)}: correct some of others"
        )
    below = sum(_point(name) < share for name in order)
    return set(order[: min(max(below, 1), len(order) - 1)])


def _point(name: str) -> float:
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def material(corrected: Sequence[Row], sure: Sequence[Row], share: float) -> Material:
    """Divide what is corrected by speaker, or by recording where nobody is named.

    What people corrected has the weight 1, what a model is sure of its confidence (1 if that is
    unknown); of those who are tested on nothing is trained on.

    Args:
        corrected, sure: rows with ``audio_filepath`` relative to the corpus' folder, ``text``, and
            perhaps ``speaker``, ``confidence``, ``offset`` and ``duration``.
        share: of speakers or recordings that are held out, on average.
    """
    testers = held_out(map(_group, corrected), share)
    return Material(
        [_row(row, 1.0) for row in corrected if _group(row) not in testers],
        [_row(row, row.get("confidence", 1.0)) for row in sure if _group(row) not in testers],
        [_row(row, 1.0) for row in corrected if _group(row) in testers],
    )


def _group(row: Row) -> str:
    return str(row.get("speaker") or row["audio_filepath"])


def _row(row: Row, weight: float) -> Row:
    audio = str(_UP / row["audio_filepath"])  # an absolute path stays one
    keys = ("offset", "duration", "text", "speaker")
    kept = {key: row[key] for key in keys if row.get(key) is not None}
    return {"audio_filepath": audio, **kept, "weight": weight}


def verdict(found: Comparison) -> tuple[bool, str]:
    """Whether the second model is better, and why in a sentence.

    It is if the whole 95 % interval of the difference of WER, drawn over utterances, is below 0.
    """
    low, high = 100 * found.difference.low, 100 * found.difference.high
    better = found.difference.high < 0
    change = (
        f"WER on {found.utterances} held-out utterances goes from {100 * found.first:.2f} to"
        f" {100 * found.second:.2f} % (95 % of the difference: {low:+.2f} to {high:+.2f} points)"
    )
    reason = "" if better else ", and the upper end is not below 0"
    return better, f"{'better' if better else 'not better'}: {change}{reason}"
