"""Words grouped for reading along: subtitles."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from deepspeech2.decoding import Word

LINE = 42  # characters that subtitles usually have in a line
LINES = 2
LONGEST = 7.0  # seconds that a cue stays
SHORTEST = 1.0  # seconds that it stays where the next one does not come earlier
PAUSE = 0.8  # seconds of silence that end a cue


@dataclass(frozen=True, slots=True)
class Cue:
    """``lines`` to be shown from ``start`` to ``end`` seconds."""

    start: float
    end: float
    lines: tuple[str, ...]


def cues(words: Sequence[Word], duration: float) -> tuple[Cue, ...]:
    """Cues of at most two lines that follow each other and never overlap.

    A cue ends at a pause, when its lines are full, or after ``LONGEST`` seconds. A word that is
    longer than a line is broken. Of a cue that is short the text stays for ``SHORTEST`` seconds
    if the next leaves room.

    Args:
        duration: seconds of the recording, after which nothing is shown.
    """
    groups = list(_groups(words))
    found = []
    for number, group in enumerate(groups):
        start, end = group[0].start, max(group[-1].end, group[0].start)
        following = groups[number + 1][0].start if number + 1 < len(groups) else duration
        end = min(max(end, start + SHORTEST), max(following, start))
        found.append(Cue(start, end, tuple(_wrapped(group))))
    return tuple(found)


def _groups(words: Sequence[Word]) -> Iterator[list[Word]]:
    group: list[Word] = []
    for word in words:
        if group and (
            word.start - group[-1].end >= PAUSE
            or word.end - group[0].start > LONGEST
            or len(_wrapped([*group, word])) > LINES
        ):
            yield group
            group = []
        group.append(word)
    if group:
        yield group


def _wrapped(group: Sequence[Word]) -> list[str]:
    return textwrap.wrap(" ".join(word.word for word in group), LINE)
