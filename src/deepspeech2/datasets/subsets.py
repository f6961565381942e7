"""Choose a part of a corpus: by filters, by hours, or by the list of a named share.

A share is a list of utterances of one split of LibriSpeech, named so that results on it can be
repeated anywhere. A folder of its name with the layout of the corpus takes the place of the list.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from deepspeech2.datasets.corpus import Exclusion
from deepspeech2.errors import ConfigError, ManifestError
from deepspeech2.types import Utterance

SHARES = {
    "train-clean-8h": "train-clean-100",
    "dev-clean-70m": "train-clean-100",
    "test-clean-35m": "test-clean",
}
"""The split that each share is taken from. The first two have no speaker in common."""

_LISTS = Path(__file__).parent / "lists"
_TOLERANCE = 1e-6  # seconds; sums of the same durations in two orders differ by less


def select(
    utterances: Iterable[Utterance],
    hours: float | None = None,
    limit: int | None = None,
    max_audio_length: float | None = None,
    max_text_length: int | None = None,
) -> tuple[tuple[Utterance, ...], tuple[Exclusion, ...]]:
    """Apply the filters, then keep ``hours`` of the rest, then the first ``limit`` of these.

    Returns:
        The utterances kept, in the given order, and the others.

    Args:
        hours: to keep, see :func:`nested_hours`.
        limit: the number of utterances to keep.
        max_audio_length: seconds; an utterance of just that length is kept.
        max_text_length: characters of the transcript as the corpus writes it; an utterance
            without one is kept.

    Raises:
        ConfigError: an option is not positive, or there are fewer hours.
    """
    options = {
        "hours": hours,
        "limit": limit,
        "max_audio_length": max_audio_length,
        "max_text_length": max_text_length,
    }
    for key, value in options.items():
        if value is not None and not value > 0:
            raise ConfigError(f"{key} must be positive or null, but is {value}")
    passed: list[Utterance] = []
    exclusions: list[Exclusion] = []
    for utterance in utterances:
        if max_audio_length is not None and utterance.duration > max_audio_length:
            reason = f"longer than max_audio_length={max_audio_length:g} s"
        elif max_text_length is not None and len(utterance.text or "") > max_text_length:
            reason = f"transcript longer than max_text_length={max_text_length}"
        else:
            passed.append(utterance)
            continue
        exclusions.append(Exclusion(utterance.id, reason))
    chosen = tuple(passed) if hours is None else nested_hours(passed, hours)
    kept = chosen if limit is None else chosen[:limit]
    # To name them, perhaps 281,000, would bury what matters.
    for beyond, bound in (
        (len(passed) - len(chosen), f"hours={hours}"),
        (len(chosen) - len(kept), f"limit={limit}"),
    ):
        if beyond:
            exclusions.append(Exclusion(f"{beyond} utterances", f"beyond {bound}"))
    return kept, tuple(exclusions)


def nested_hours(utterances: Sequence[Utterance], hours: float) -> tuple[Utterance, ...]:
    """Return utterances of ``hours`` in all, in the given order.

    Utterances are taken in the order of a hash of their ids until the sum reaches ``hours``, so
    that it exceeds ``hours`` by less than the last utterance. The choice depends neither on the
    order given nor on any seed, is spread over speakers, and more hours include what fewer do.

    Raises:
        ConfigError: there are fewer hours.
    """
    wanted = 3600 * hours
    seconds = 0.0
    taken: set[str] = set()
    for utterance in sorted(utterances, key=_rank):
        if seconds >= wanted:
            break
        seconds += utterance.duration
        taken.add(utterance.id)
    if seconds < wanted - _TOLERANCE:
        most = math.floor(1e4 * seconds / 3600) / 1e4  # what is rounded up would be refused again
        raise ConfigError(
            f"hours must be at most {most:g}, which is what the corpus holds after its other"
            f" filters, but is {hours:g}: lower hours, or name more parts"
        )
    return tuple(utterance for utterance in utterances if utterance.id in taken)


def _rank(utterance: Utterance) -> tuple[bytes, str]:
    """Sort by a hash of the id; of equal hashes the id decides."""
    return hashlib.blake2b(utterance.id.encode(), digest_size=8).digest(), utterance.id


def share_ids(share: str) -> frozenset[str]:
    """Return the ids of the utterances of ``share``, a key of ``SHARES``."""
    return frozenset((_LISTS / f"{share}.txt").read_text(encoding="ascii").split())


def take_share(
    share: str,
    utterances: Sequence[Utterance],
    exclusions: Sequence[Exclusion],
    place: Path,
) -> tuple[list[Utterance], list[Exclusion]]:
    """Take the utterances and the unreadable recordings of ``share`` from the split at ``place``.

    Raises:
        ManifestError: the split lacks some of it.
    """
    ids = share_ids(share)
    taken = {item.id: item for item in utterances if item.id in ids}
    faults = {
        item.utterance.id: item
        for item in exclusions
        if item.utterance is not None and item.utterance.id in ids
    }
    lacking = ids - taken.keys() - faults.keys()
    if lacking:
        raise ManifestError(
            f"{place} lacks {len(lacking)} of the {len(ids)} utterances of {share}"
            f" ({min(lacking)} ...): unpack the whole of {SHARES[share]} there"
        )
    return list(taken.values()), list(faults.values())
