"""Split a corpus that has no parts of its own, by share and by speaker."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from itertools import compress
from pathlib import Path
from typing import TypeVar

from deepspeech2.errors import ConfigError, ManifestError

PARTS = ("train", "val", "test")
SHARES = (0.9, 0.05, 0.05)
BY = ("speaker", "recording")

Item = TypeVar("Item")


class Split:
    """Chooses one part of a corpus.

    A hash of each speaker's name decides the part of all recordings of that speaker; where the
    speaker is unknown, a hash of the recording's path does. So nobody is in two parts, and an
    utterance stays where it is when recordings are added. The shares are met on average over
    speakers: of few speakers the parts may be larger or smaller.

    Args:
        part: ``train``, ``val`` or ``test``.
        shares: of these three, which add up to 1.
        by: ``recording`` passes over the speakers.

    Raises:
        ConfigError: an option is out of range, or the share of ``part`` is 0.
    """

    def __init__(self, part: str, shares: Sequence[float] = SHARES, by: str = "speaker") -> None:
        if part not in PARTS:
            raise ConfigError(f"split must be one of {', '.join(PARTS)} or null, but is {part!r}")
        if by not in BY:
            raise ConfigError(f"split_by must be {' or '.join(BY)}, but is {by!r}")
        shares = tuple(shares)
        if (
            len(shares) != len(PARTS)
            or not all(0 <= share <= 1 for share in shares)
            or not math.isclose(sum(shares), 1, abs_tol=1e-6)
        ):
            raise ConfigError(
                "shares must be three numbers from 0 to 1 that add up to 1, of train, val and test,"
                f" but is {list(shares)}"
            )
        if not shares[PARTS.index(part)]:
            raise ConfigError(f"split={part} has a share of 0 of {list(shares)}: raise it")
        self.part, self.shares, self._by_speaker = part, shares, by == "speaker"

    def take(
        self,
        items: Sequence[Item],
        speaker: Callable[[Item], str | None],
        recording: Callable[[Item], str],
        place: str | Path,
    ) -> list[Item]:
        """Return the items of the part, in their order.

        Args:
            speaker, recording: of an item; the recording's path below the corpus's folder, so that
                the corpus can be moved.
            place: of the corpus, for messages.

        Raises:
            ManifestError: the part would be empty.
        """
        parts: dict[tuple[str, str], bool] = {}

        def taken(item: Item) -> bool:
            name = speaker(item) if self._by_speaker else None
            key = ("recording", recording(item)) if name is None else ("speaker", name)
            known = parts.get(key)
            if known is None:
                known = parts[key] = self._takes(key)
            return known

        chosen = list(compress(items, map(taken, items)))
        if items and not chosen:
            n_speakers = sum(kind == "speaker" for kind, _ in parts)
            remedy = "raise its share, or bring a corpus for it"
            if n_speakers:
                remedy = f"raise its share, or set split_by=recording ({n_speakers} speakers)"
            raise ManifestError(
                f"split={self.part} of {place} is empty with shares {list(self.shares)}: {remedy}"
            )
        return chosen

    def _takes(self, key: tuple[str, str]) -> bool:
        digest = hashlib.blake2b("\0".join(key).encode("utf-8", "surrogatepass"), digest_size=8)
        point = int.from_bytes(digest.digest(), "big") / 2**64
        # test from below, val from above: each keeps its utterances when its share grows
        _, val, test = self.shares
        part = "test" if point < test else "val" if point >= 1 - val else "train"
        return part == self.part


def split_of(part: str | None, shares: Sequence[float], by: str) -> Split | None:
    """Return the split that a corpus's options name; None if ``part`` is None."""
    return None if part is None else Split(part, shares, by)
