"""Many channels to one, and samples that no recorder makes to those in [-1, 1]."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]

_CANCELLED = 0.1  # of the loudest channel's power: less is left where channels are opposed


@dataclass(frozen=True, slots=True)
class Mix:
    """How a recording becomes one channel.

    Attributes:
        channel: the one that is taken, counted from 0; None: the mean of all.
        scale: what samples are divided by.
    """

    channel: int | None = None
    scale: float = 1.0

    def __call__(self, block: Samples) -> Samples:
        """(n, C) to (n,), in [-1, 1]: lossy codecs overshoot by a little."""
        if self.channel is not None:
            block = block[:, self.channel]
        else:
            block = block[:, 0] if block.shape[1] == 1 else block.mean(axis=1)
        if self.scale != 1.0:
            block = block / np.float32(self.scale)
        return np.clip(block, -1.0, 1.0)


def choose(blocks: Iterable[Samples], *, is_float: bool) -> Mix:
    """The mix for a recording (n, C) in blocks.

    Channels of opposite phase, as of a balanced line or a widened stereo picture, would cancel
    each other: then the loudest is taken. Samples stored as floats may have any scale.

    Args:
        is_float: whether samples beyond 1 are a matter of scale, not of a codec's overshoot.
    """
    powers: npt.NDArray[np.float64] | None = None
    mixed, loudest = 0.0, 0.0
    for block in blocks:
        if not len(block):
            continue
        loudest = max(loudest, float(np.abs(block).max()))
        if block.shape[1] > 1:
            found = np.square(block, dtype=np.float64).sum(axis=0)
            powers = found if powers is None else powers + found
            mixed += float(np.square(block.mean(axis=1), dtype=np.float64).sum())
    opposed = powers is not None and mixed < _CANCELLED * powers.max()
    return Mix(
        int(powers.argmax()) if powers is not None and opposed else None,
        loudest if is_float and np.isfinite(loudest) and loudest > 1.0 else 1.0,
    )
