"""CTC prefix beam search of one utterance, written for clarity: a dictionary of prefixes.

The yardstick of the benchmark where no other package is installed, and an oracle in the tests.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

Prefix = tuple[int, ...]


def log_sum(left: float, right: float) -> float:
    """log(exp(left) + exp(right))."""
    high, low = max(left, right), min(left, right)
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))


def prefix_beam_search(
    frames: Sequence[Sequence[float]], beam_size: int, *, beam_threshold: float = math.inf
) -> list[tuple[Prefix, float]]:
    """Prefixes with their log-probabilities, best first.

    Args:
        frames: (T, V) log-probabilities, the blank first.
        beam_size: prefixes to keep in each frame.
        beam_threshold: drop a prefix that is worse than the best by more than this.
    """
    beams: dict[Prefix, tuple[float, float]] = {(): (0.0, -math.inf)}
    for frame in frames:
        blank: dict[Prefix, float] = defaultdict(lambda: -math.inf)
        label: dict[Prefix, float] = defaultdict(lambda: -math.inf)
        for prefix, (after_blank, after_label) in beams.items():
            both = log_sum(after_blank, after_label)
            blank[prefix] = log_sum(blank[prefix], both + frame[0])
            for token in range(1, len(frame)):
                longer = (*prefix, token)
                if prefix and token == prefix[-1]:
                    label[prefix] = log_sum(label[prefix], after_label + frame[token])
                    label[longer] = log_sum(label[longer], after_blank + frame[token])
                else:
                    label[longer] = log_sum(label[longer], both + frame[token])
        totals = {each: log_sum(blank[each], label[each]) for each in blank.keys() | label.keys()}
        best = sorted(totals, key=totals.__getitem__, reverse=True)[:beam_size]
        floor = max(totals[best[0]] - beam_threshold, -math.inf)
        beams = {
            each: (blank[each], label[each])
            for each in best
            if totals[each] >= floor and totals[each] > -math.inf
        }
    scored = [(prefix, log_sum(*parts)) for prefix, parts in beams.items()]
    return sorted(scored, key=lambda pair: pair[1], reverse=True)
