"""Cut an aligned recording at pauses, and keep what can be trusted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from deepspeech2.decoding.loose import LEFT_OUT, LooseAlignment
from deepspeech2.errors import ConfigError

_AROUND = 0.3  # seconds of a pause that stay with the words beside it, at most


_FREE = 1.0  # price of what may be heard in a pause
TRANSLITERATED_CER = 0.8  # what may be heard of a language that the model does not know
NOTHING, JOINED, UNREADABLE = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Limits:
    """What a segment must be like.

    Attributes:
        shortest, longest: seconds.
        pause: seconds without a label between two words at which is cut.
        score: least score of a segment.
        word: least score of each of its words.
        unwritten: highest price of what is heard before, between or behind the words.
        cer: largest character error rate of what is heard, the text being the reference.
    """

    shortest: float = 1.0
    longest: float = 15.0
    pause: float = 0.2
    score: float = -1.5
    word: float = -3.0
    unwritten: float = 3.0
    cer: float = 0.6

    def __post_init__(self) -> None:
        if not 0 < self.shortest <= self.longest:
            raise ConfigError(
                "a segment must last longer than 0 s and at least --min-duration, but is to last"
                f" {self.shortest:g} to {self.longest:g} s"
            )
        if self.pause <= 0:
            raise ConfigError(f"--pause must be positive, but is {self.pause:g}")


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a recording and of its text.

    Attributes:
        start, end: in frames.
        first, last: the first word of the text and the one behind the last.
        score: of the words' frames and those between them, the log-probability of the text less
            that of the best tokens, for each label; 0 is best.
        worst: the least score of a word.
        unwritten: the highest price of what is heard before, between or behind its words.
        left_out: words of the text that are not said, or cannot be aligned.
        why: why it is not kept; empty if it is.
        cer: character error rate of what is heard, the text being the reference; found later.
    """

    start: int
    end: int
    first: int
    last: int
    score: float
    worst: float
    unwritten: float
    left_out: int
    why: str = ""
    cer: float = 0.0


class _Cut(NamedTuple):
    """Where the words before it end, where those behind it start, and its longest pause, frames."""

    end: int
    start: int
    pause: int


class Cutter:
    """Cuts one recording.

    Args:
        alignment: of its text.
        silent: (T,) whether the best token of a frame is the blank or a space.
        levels: (T,) dB.
        breaks: (W,) what is before each word: ``NOTHING``, ``JOINED`` if it may not be cut from
            the word before it, ``UNREADABLE`` if something that cannot be aligned is between.
        seconds_per_frame: of all of these.
    """

    def __init__(
        self,
        alignment: LooseAlignment,
        silent: npt.NDArray[np.bool_],
        levels: npt.NDArray[np.float64],
        breaks: npt.NDArray[np.int8],
        seconds_per_frame: float,
        limits: Limits,
    ) -> None:
        self.alignment, self.silent, self.limits = alignment, silent, limits
        self.levels = np.convolve(levels, [0.5, 0.5])  # around the middle of each frame
        self.breaks = breaks
        self.frames = 1 / seconds_per_frame
        self.said = np.flatnonzero(alignment.start != LEFT_OUT)

    def segments(self) -> list[Segment]:
        """All parts of the recording with words, kept or not, in their order."""
        if not len(self.said):
            return []
        phrases = self._phrases(
            self.said, self._edge_before(), self._edge_behind(), self.limits.pause
        )
        result: list[Segment] = []
        run: list[tuple[Segment, int]] = []  # good neighbours, with the pause behind each
        for phrase, pause in phrases:
            phrase = replace(phrase, why=self._fault(phrase))
            if run and (phrase.why or not self._continues(run[-1][0], phrase)):
                result += self._joined(run)
                run = []
            if phrase.why:
                result.append(phrase)
            else:
                run.append((phrase, pause))
        return result + self._joined(run)

    def _phrases(
        self, said: npt.NDArray[np.int64], before: _Cut, behind: _Cut, pause: float
    ) -> list[tuple[Segment, int]]:
        """Cut words at every pause, with the one behind each; what is at fault, at shorter ones."""
        cuts: list[tuple[int, _Cut]] = [(0, before)]
        for number, (left, right) in enumerate(pairwise(said.tolist()), 1):
            ended, begun = self.alignment.end[left], self.alignment.start[right]
            cut = self._pause(int(ended), int(begun), pause)
            if cut is not None and JOINED not in (self.breaks[left + 1], self.breaks[right]):
                cuts.append((number, cut))
        cuts.append((len(said), behind))
        result = []
        for (first, cut), (last, following) in pairwise(cuts):
            phrase = self._segment(said[first], said[last - 1] + 1, cut.start, following.end)
            shorter = pause / 2
            if self._fault(phrase) and last - first > 1 and shorter * self.frames > 0.5:
                result += self._phrases(said[first:last], cut, following, shorter)
            else:
                result.append((phrase, following.pause))
        return result

    def _pause(self, first: int, end: int, least: float) -> _Cut | None:
        """Where to cut between two words, of which one ends at ``first``, the next starts at
        ``end``; None if there is no pause of ``least`` seconds."""
        runs = self._runs(first, end, least)
        if not runs:
            return None
        (a, b), (c, d) = runs[0], runs[-1]
        around = round(_AROUND * self.frames)
        ended = min(self._quietest(a, b), a + around)
        begun = max(self._quietest(c, d), d - around)
        return _Cut(ended, begun, max(last - start for start, last in runs))

    def _runs(self, first: int, end: int, least: float) -> list[tuple[int, int]]:
        """Pauses from ``first`` to ``end``."""
        padded = np.concatenate(([0], self.silent[first:end].view(np.int8), [0]))
        edges = np.flatnonzero(np.diff(padded)).reshape(-1, 2) + first
        shortest = max(1, math.ceil(least * self.frames - 1e-6))
        return [(int(a), int(b)) for a, b in edges if b - a >= shortest]

    def _quietest(self, first: int, end: int) -> int:
        return first + int(np.argmin(self.levels[first:end]))

    def _edge_before(self) -> _Cut:
        first = int(self.alignment.start[self.said[0]])
        return self._pause(0, first, self.limits.pause) or _Cut(0, 0, 0)

    def _edge_behind(self) -> _Cut:
        count = len(self.silent)
        last = int(self.alignment.end[self.said[-1]])
        return self._pause(last, count, self.limits.pause) or _Cut(count, count, 0)

    def _segment(self, first: int, last: int, start: int, end: int) -> Segment:
        words = slice(int(first), int(last))
        said = self.alignment.start[words] != LEFT_OUT
        costs = self.alignment.cost[words][said]
        sizes = self.alignment.sizes[words][said]
        starts, ends = self.alignment.start[words][said], self.alignment.end[words][said]
        passed = self.alignment.passed_over
        between = passed[np.append(starts, end)] - passed[np.append(start, ends)]
        return Segment(
            start,
            end,
            words.start,
            words.stop,
            score=-float((costs @ sizes + between.sum()) / sizes.sum()),
            worst=-float(costs.max()),
            unwritten=float(between.max()),
            left_out=int((~said).sum() + (self.breaks[words][1:] == UNREADABLE).sum()),
        )

    def _fault(self, phrase: Segment) -> str:
        limits = self.limits
        if phrase.end - phrase.start > limits.longest * self.frames:
            return "no pause"
        if phrase.left_out:
            return "words are not said"
        if phrase.unwritten > limits.unwritten:
            return "speech that is not in the text"
        if phrase.score < limits.score:
            return "score"
        if phrase.worst < limits.word:
            return "score of a word"
        return ""

    def _continues(self, left: Segment, right: Segment) -> bool:
        """Whether nothing is between two phrases, in the text or in the recording."""
        heard = self.alignment.passed_over[right.start] - self.alignment.passed_over[left.end]
        unreadable = self.breaks[right.first] == UNREADABLE
        return left.last == right.first and heard < _FREE and not unreadable

    def _joined(self, run: Sequence[tuple[Segment, int]]) -> list[Segment]:
        """Neighbours as segments of no more than the longest, divided at their longest pauses."""
        if not run:
            return []
        first, last = run[0][0], run[-1][0]
        if last.end - first.start <= self.limits.longest * self.frames or len(run) == 1:
            whole = self._segment(first.first, last.last, first.start, last.end)
            short = whole.end - whole.start < self.limits.shortest * self.frames
            return [replace(whole, why="too short" if short else "")]
        least = self.limits.shortest * self.frames

        def place(number: int) -> tuple[bool, int]:
            left, right = run[number - 1][0].end - first.start, last.end - run[number][0].start
            return min(left, right) >= least, run[number - 1][1]

        best = max(range(1, len(run)), key=place)
        return self._joined(run[:best]) + self._joined(run[best:])
