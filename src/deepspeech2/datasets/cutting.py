"""Where to cut a sequence of utterances into batches that are as long as the limits allow."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def cuts(
    durations: NDArray[np.float64], max_batch_duration: float, max_batch_size: int | None
) -> list[int]:
    """Where batches of ``durations`` (N,) in seconds start, and N.

    What decides is the longest of a batch times its size, which grows with every utterance: a
    batch ends before the first that does not fit, and is never empty. The longest of all that
    follow tells how many fit at least, which leaves few to be tried one by one where durations
    nearly descend. The result is exact in any order.
    """
    number = len(durations)
    seconds = durations.tolist()
    longest_to_come = np.maximum.accumulate(durations[::-1])[::-1]
    starts = [0]
    start = 0
    while start < number:
        most = number - start if max_batch_size is None else min(max_batch_size, number - start)
        size = _fitting(float(longest_to_come[start]), max_batch_duration, most)
        longest = max(seconds[start : start + size])
        while size < most:
            longest = max(longest, seconds[start + size])
            if longest * (size + 1) > max_batch_duration:
                break
            size += 1
        start += size
        starts.append(start)
    return starts


def _fitting(duration: float, max_batch_duration: float, most: int) -> int:
    """How many utterances of ``duration`` surely fit, from 1 to ``most``."""
    if duration * most <= max_batch_duration:
        return most
    size = int(max_batch_duration / duration)
    # The division may round up where the product, which decides, does not fit.
    return max(1, size if duration * size <= max_batch_duration else size - 1)
