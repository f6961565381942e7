"""A corpus: a sequence of utterances, and a list of what was left out."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from pathlib import Path, PurePath
from typing import overload

from deepspeech2.errors import AudioError, ConfigError, ManifestError
from deepspeech2.files import safe_name
from deepspeech2.types import Utterance

_NOT_PLAIN = re.compile(r'[\\/:*?"<>|\x00-\x1f\x7f]+')

MOST_NAMED = 20
"""Exclusions that one message names."""

_TOLERANCE = 1e-6  # seconds; sums of the same durations in two orders differ by less


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Something that was left out of a corpus.

    Attributes:
        name: an utterance's id, or a file; beyond ``hours`` or ``limit`` only a number.
        reason: why; word for word the same for all that one filter left out.
        utterance: of a recording that could not be read, with an id that no other utterance of
            the corpus has and the duration of the part that can be read, often 0; otherwise None.
    """

    name: str
    reason: str
    utterance: Utterance | None = None


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
            f"hours must be at most {most:g}, which is what the corpus contains after its other"
            f" filters, but is {hours:g}: lower hours, or name more parts"
        )
    return tuple(utterance for utterance in utterances if utterance.id in taken)


def _rank(utterance: Utterance) -> tuple[bytes, str]:
    """Sort by a hash of the id; of equal hashes the id decides."""
    return hashlib.blake2b(utterance.id.encode(), digest_size=8).digest(), utterance.id


class Corpus(Sequence[Utterance]):
    """Utterances in a fixed order.

    Attributes:
        name: in tables and in the paths of predictions.
        utterances: those that can be used; ids are unique.
        exclusions: what was left out, and why.

    Raises:
        ManifestError: no utterance is left, or two have the same id; names ``place``. A corpus
            whose recordings are all broken is empty instead: recognition reports each of them.
    """

    def __init__(
        self,
        name: str,
        utterances: Iterable[Utterance],
        exclusions: Iterable[Exclusion] = (),
        *,
        place: str | Path | None = None,
    ) -> None:
        self.name = name
        self.utterances = tuple(utterances)
        self.exclusions = tuple(exclusions)
        place = name if place is None else place
        broken = any(exclusion.utterance is not None for exclusion in self.exclusions)
        if not self.utterances and not broken:
            raise ManifestError(f"{place} contains no usable utterance{self._reasons()}")
        ids = {utterance.id for utterance in self.utterances}
        if len(ids) < len(self.utterances):
            counts = Counter(utterance.id for utterance in self.utterances)
            repeated, count = counts.most_common(1)[0]
            raise ManifestError(
                f"{place} contains utterance {repeated} {count} times: name each part once, and"
                " give recordings of different parts different names"
            )

    def _reasons(self) -> str:
        counts = Counter(exclusion.reason for exclusion in self.exclusions)
        parts = [f"{reason}: {count}" for reason, count in counts.most_common(3)]
        if len(counts) > len(parts):
            parts.append(f"{len(counts) - len(parts)} other reasons")
        return f" ({'; '.join(parts)})" if parts else ""

    @cached_property
    def duration(self) -> float:
        """Seconds of audio."""
        return sum(utterance.duration for utterance in self.utterances)

    def __len__(self) -> int:
        return len(self.utterances)

    @overload
    def __getitem__(self, index: int) -> Utterance: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Utterance, ...]: ...
    def __getitem__(self, index: int | slice) -> Utterance | tuple[Utterance, ...]:
        return self.utterances[index]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {len(self)} utterances)"


def audio_fault(error: AudioError, path: Path) -> str:
    """Return the message of ``error`` without the path that it starts with."""
    return str(error).removeprefix(f"{path} ")


def plain_ids(candidates: Sequence[tuple[str, PurePath]]) -> list[str]:
    """Make unique ids that are plain file names from (preferred name, relative path) pairs.

    A name that occurs once is taken as it is. Names that collide are preceded by their folders,
    joined by "-", from the first on that is not common to all of them: the place of the corpus
    makes no difference. Those that still collide get a number. The result depends only on the
    order of ``candidates``.

    >>> plain_ids([("a", PurePath("x/a.wav")), ("a", PurePath("y/a.wav")), ("b", PurePath("b"))])
    ['x-a', 'y-a', 'b']
    """
    names = [_plain(preferred) for preferred, _ in candidates]
    counts = Counter(names)
    if len(counts) == len(names):
        return names
    taken = {name for name, count in counts.items() if count == 1}
    pairs = zip(names, candidates, strict=True)
    n_common = _n_common({path.parent for name, (_, path) in pairs if name not in taken})
    numbers: Counter[str] = Counter()  # the last that each stem tried: a recording has many lines
    unique: list[str] = []
    for name, (_, path) in zip(names, candidates, strict=True):
        if counts[name] > 1:
            parts = path.parent.parts[n_common:]
            parts = tuple(part for part in parts if part not in (path.anchor, ".."))
            name = stem = _plain("-".join((*parts, name)))
            while name in taken:
                numbers[stem] += 1
                name = f"{stem}-{numbers[stem] + 1}"
            taken.add(name)
        unique.append(name)
    return unique


def _n_common(folders: Iterable[PurePath]) -> int:
    """Count the parts, from the first on, that all ``folders`` share."""
    columns = zip(*(folder.parts for folder in folders), strict=False)
    return sum(1 for _ in takewhile(lambda parts: len(set(parts)) == 1, columns))


def _plain(name: str) -> str:
    """Make ``name`` one path component for every file system, not hidden and not empty."""
    return safe_name(_NOT_PLAIN.sub("-", name).strip().lstrip(".") or "utterance")
