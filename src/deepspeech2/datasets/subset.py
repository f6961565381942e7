"""A part of a corpus by hours, for learning curves: more hours hold what fewer hold."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

from deepspeech2.errors import ConfigError
from deepspeech2.types import Utterance

_TOLERANCE = 1e-6  # seconds; sums of the same durations in two orders differ by less


def nested_hours(utterances: Sequence[Utterance], hours: float) -> tuple[Utterance, ...]:
    """Utterances of ``hours`` in all, in the given order.

    Utterances are taken in the order of a hash of their ids until the sum reaches ``hours``, so
    that it exceeds ``hours`` by less than the last utterance. What is taken depends neither on
    the order given nor on any seed, is spread over speakers, and is part of what more hours take.

    Args:
        hours: positive.

    Raises:
        ConfigError: there are not as many.
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
    """Where an utterance stands; of equal hashes the id decides."""
    return hashlib.blake2b(utterance.id.encode(), digest_size=8).digest(), utterance.id
