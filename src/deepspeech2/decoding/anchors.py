"""Places at which a long text and what was recognised of it certainly agree."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

LENGTH = 12  # characters that must agree
_CERTAIN = 24  # characters that need no other match nearby
_NEAR = 300  # characters to another match
_UNEVEN = 0.3  # of the distance to another match, by how much it may differ between the two texts
_EDGE = 2  # characters of a match on either side of its space


class Match(NamedTuple):
    """``heard[start : start + length] == text[place : place + length]``."""

    start: int
    place: int
    length: int


def anchors(heard: str, text: str) -> list[tuple[int, int]]:
    """Return pairs of a space in ``heard`` and the same space in ``text``, both ascending.

    They are in character sequences that occur once in either text; of these the longest chain in
    order is taken, as in the alignment of genomes (A. Delcher et al., Alignment of whole genomes,
    Nucleic Acids Research 27(11), 1999). A short match with no other at about the same distance
    in both texts is dropped: it may be a phrase of a part that is not in the audio.
    """
    chain = _longest_chain(_matches(heard, text))
    result: list[tuple[int, int]] = []
    for number, match in enumerate(chain):
        near = chain[max(0, number - 2) : number] + chain[number + 1 : number + 3]
        if match.length < _CERTAIN and not any(_agree(match, other) for other in near):
            continue
        end = match.start + match.length
        wanted = [match.start + match.length // 2]
        if match.length >= 4 * _CERTAIN:  # so that little is between it and what does not agree
            wanted = [match.start + _CERTAIN, *wanted, end - _CERTAIN]
        inside = range(match.start + _EDGE, end - _EDGE)
        spaces = [index for index in inside if heard[index] == " "]
        if spaces:
            chosen = {min((abs(i - place), i) for i in spaces)[1] for place in wanted}
            result += [(space, match.place + space - match.start) for space in sorted(chosen)]
    return result


def _matches(heard: str, text: str) -> list[Match]:
    """Unique common sequences, those that overlap on one diagonal joined."""
    places = _unique(text)
    found: list[Match] = []
    for sequence, start in _unique(heard).items():  # ascending
        place = places.get(sequence)
        if place is None:
            continue
        last = found[-1] if found else Match(-1, -1, 0)
        if start - last.start == place - last.place and start <= last.start + last.length:
            found[-1] = Match(last.start, last.place, start + LENGTH - last.start)
        else:
            found.append(Match(start, place, LENGTH))
    return found


def _unique(text: str) -> dict[str, int]:
    """Where each sequence of ``LENGTH`` characters that occurs once begins."""
    places: dict[str, int] = {}
    for start in range(len(text) - LENGTH + 1):
        sequence = text[start : start + LENGTH]
        places[sequence] = -1 if sequence in places else start
    return {sequence: start for sequence, start in places.items() if start >= 0}


def _longest_chain(matches: Sequence[Match]) -> list[Match]:
    """The most matches whose places ascend as their starts do (patience sorting)."""
    ends: list[int] = []  # for each length the chain with the least place: that place
    tops: list[int] = []  # and its last match
    before: list[int] = []
    for number, match in enumerate(matches):
        length = bisect_left(ends, match.place)
        before.append(tops[length - 1] if length else -1)
        ends[length : length + 1] = [match.place]
        tops[length : length + 1] = [number]
    chain = []
    number = tops[-1] if tops else -1
    while number >= 0:
        chain.append(matches[number])
        number = before[number]
    return chain[::-1]


def _agree(one: Match, other: Match) -> bool:
    """Whether two matches are near each other, and as far apart in either text."""
    in_heard, in_text = abs(one.start - other.start), abs(one.place - other.place)
    farther = max(in_heard, in_text)
    return farther <= _NEAR and abs(in_heard - in_text) <= _UNEVEN * farther
