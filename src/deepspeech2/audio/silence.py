"""Cut a long recording at its quietest places, into pieces of limited length."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from deepspeech2.errors import ConfigError

STEP = 0.04  # seconds between two possible cuts
_FLOOR = 1e-4  # amplitude of silence, 80 dB below full scale
_WINDOW = 0.32  # seconds around a cut that should be quiet
_BACKGROUND = 5.0  # percentile of the levels that is taken for the background
_FORBIDDEN = 1e6  # dB
_PRICE = 6.0  # dB above the background that each cut costs beside its level


@dataclass(frozen=True, slots=True)
class Span:
    """From ``start`` up to ``end``, in steps."""

    start: int
    end: int


class Levels:
    """Measure the level of each step of a recording, block by block.

    Args:
        sample_rate: in Hz.
        step: samples of a step; None: ``STEP`` seconds.
    """

    def __init__(self, sample_rate: int, step: int | None = None) -> None:
        self.step = round(STEP * sample_rate) if step is None else step
        if self.step < 1:
            raise ConfigError(f"a step must be at least one sample, but is {self.step}")
        self.sample_rate = sample_rate
        self.n_samples = 0
        self._left = np.zeros(0, np.float32)
        self._powers: list[npt.NDArray[np.float32]] = []

    def add(self, samples: npt.NDArray[np.float32]) -> None:
        """Add the next samples (S,)."""
        self.n_samples += len(samples)
        samples = np.concatenate((self._left, samples))
        whole = len(samples) // self.step * self.step
        self._powers.append(np.square(samples[:whole]).reshape(-1, self.step).mean(axis=1))
        self._left = samples[whole:]

    def decibels(self) -> npt.NDArray[np.float64]:
        """Return the level (N,) of each step, the last of which may be shorter."""
        powers = [*self._powers]
        if len(self._left):
            powers.append(np.square(self._left).mean(keepdims=True))
        joined = np.concatenate(powers) if powers else np.zeros(0, np.float32)
        return 10 * np.log10(np.maximum(joined.astype(np.float64), _FLOOR**2))


def plan(
    levels: npt.NDArray[np.float64],
    longest: int,
    *,
    window: int,
    forbidden: npt.NDArray[np.bool_] | None = None,
) -> list[Span]:
    """Plan spans that cover ``levels`` (N,) without gap or overlap, none longer than ``longest``.

    Of all such plans it is the one whose cuts cost least. A cut before step i costs the mean
    level above the background in a window around it, and a constant, so that few cuts are better
    than many.

    Args:
        longest: steps, at least one.
        window: steps around a cut, at least one.
        forbidden: (N,) steps before which a cut is only made if there is no other plan.
    """
    if longest < 1 or window < 1:
        raise ConfigError(f"longest and window must be at least 1, but are {longest}, {window}")
    count = len(levels)
    if not count:
        return []
    costs = _costs(levels, window)
    if forbidden is not None:
        costs = np.where(forbidden, costs + _FORBIDDEN, costs)
    least = np.full(count + 1, np.inf)
    least[0] = 0.0
    before = np.zeros(count + 1, np.int64)
    for place in range(1, count + 1):
        first = max(0, place - longest)
        best = first + int(np.argmin(least[first:place]))
        before[place] = best
        least[place] = least[best] + (costs[place] if place < count else 0.0)
    cuts = [count]
    while cuts[-1]:
        cuts.append(int(before[cuts[-1]]))
    cuts.reverse()
    return [Span(start, end) for start, end in pairwise(cuts)]


def _costs(levels: npt.NDArray[np.float64], window: int) -> npt.NDArray[np.float64]:
    """Return the cost (N,) of a cut before each step."""
    above = np.maximum(levels - np.percentile(levels, _BACKGROUND), 0.0)
    sums = np.concatenate(([0.0], np.cumsum(above)))
    places = np.arange(len(levels))
    first = np.maximum(places - window // 2, 0)
    last = np.minimum(first + window, len(levels))
    means: npt.NDArray[np.float64] = (sums[last] - sums[first]) / (last - first)
    return means + _PRICE


def cut(recording: Iterable[npt.NDArray[np.float32]], levels: Levels, longest: float) -> list[Span]:
    """Read ``recording`` to its end into ``levels`` and plan spans of at most ``longest`` s."""
    for block in recording:
        levels.add(block)
    a_second = levels.sample_rate / levels.step
    return plan(
        levels.decibels(),
        max(1, int(longest * a_second)),
        window=max(1, round(_WINDOW * a_second)),
    )
