"""Find when eSpeak NG says each word, from its events."""

from __future__ import annotations

import bisect
import ctypes
import re
from collections.abc import Sequence
from dataclasses import dataclass

# From speak_lib.h.
_LIST_END = 0
_WORD = 1
_PHONEME = 7
_PAUSE = b"_"  # with which the names of all pauses begin, and of nothing else


class _Id(ctypes.Union):
    _fields_ = (
        ("number", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("string", ctypes.c_char * 8),
    )


class RawEvent(ctypes.Structure):
    """``espeak_EVENT`` of speak_lib.h."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    )


@dataclass(frozen=True, slots=True)
class Event:
    """The beginning of a word or phoneme.

    Attributes:
        character: of a word, its place in the text, from 0; None for a phoneme.
        is_pause: of a phoneme, whether it is silence.
        sample: where it begins.
    """

    character: int | None
    is_pause: bool
    sample: int


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A word of a synthesised text; ``start`` and ``end`` in seconds.

    ``text`` contains more than one word where eSpeak NG says them as one, like "on the".
    """

    text: str
    start: float
    end: float


def read_events(pointer: ctypes._Pointer[RawEvent]) -> list[Event]:
    """Read the words and phonemes of a list that eSpeak NG passes to its callback."""
    events: list[Event] = []
    index = 0
    while pointer[index].type != _LIST_END:
        raw = pointer[index]
        if raw.type == _WORD:
            events.append(Event(raw.text_position - 1, False, raw.sample))
        elif raw.type == _PHONEME:
            events.append(Event(None, raw.id.string.startswith(_PAUSE), raw.sample))
        index += 1
    return events


def spoken_words(
    text: str, events: Sequence[Event], *, sample_rate: int, n_samples: int
) -> tuple[SpokenWord, ...]:
    """Return when each word is said, in ascending order and without overlap.

    A word lasts from its event to that of the next word or the pause before it; the closure of
    a first plosive belongs to it. Before a first vowel after a nasal or liquid eSpeak NG announces
    the word when it begins that consonant of the word before: then the vowel's phoneme counts.

    Args:
        text: that was spoken; words are separated by white space.
        events: of words and phonemes.
        sample_rate: in Hz.
        n_samples: of all the speech.
    """
    token_ends = [match.end() for match in re.finditer(r"\S+", text)]
    spans: dict[int, tuple[int, int]] = {}  # token: first sample and the one after the last
    current, start, end = -1, 0, 0
    for index, event in enumerate(events):
        if event.character is None:
            if not event.is_pause:
                end = 0  # the word goes on after a pause
            elif not end:
                end = event.sample
            continue
        # A number is several words to eSpeak NG, and a place may be that of the space before.
        token = bisect.bisect_right(token_ends, event.character)
        if current < token < len(token_ends):
            next_start = _start(events, index)
            spans[current] = (start, end or next_start)
            current, start, end = token, next_start, 0
    spans[current] = (start, end or n_samples)
    spans.pop(-1)  # what was before the first word
    next_tokens = [*spans, len(token_ends)][1:]
    return tuple(
        SpokenWord(" ".join(text.split()[token:after]), first / sample_rate, last / sample_rate)
        for (token, (first, last)), after in zip(spans.items(), next_tokens, strict=True)
    )


def _start(events: Sequence[Event], index: int) -> int:
    """The sample at which the word of ``events[index]`` begins."""
    sample = events[index].sample
    before = events[index - 1] if index else None
    if before is None or before.character is not None or before.is_pause or before.sample < sample:
        return sample
    phonemes = (event.sample for event in events[index + 1 :] if event.character is None)
    return next(phonemes, sample)
