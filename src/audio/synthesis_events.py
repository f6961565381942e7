"""When eSpeak NG says each word: its events, and what they tell."""

from __future__ import annotations

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
    """A word or phoneme that begins.

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

    ``text`` holds more than one word where eSpeak NG says them as one, like "on the".
    """

    text: str
    start: float
    end: float


def read_events(pointer: ctypes._Pointer[RawEvent]) -> list[Event]:
    """The words and phonemes of a list that eSpeak NG hands to its callback."""
    found: list[Event] = []
    index = 0
    while pointer[index].type != _LIST_END:
        raw = pointer[index]
        if raw.type == _WORD:
            found.append(Event(raw.text_position - 1, False, raw.sample))
        elif raw.type == _PHONEME:
            found.append(Event(None, raw.id.string.startswith(_PAUSE), raw.sample))
        index += 1
    return found


def spoken_words(
    text: str, events: Sequence[Event], *, sample_rate: int, n_samples: int
) -> tuple[SpokenWord, ...]:
    """Which words are said when, in ascending order and without overlap.

    A word lasts from its event to that of the next word or the pause before it; the closure of
    a first plosive is its own. For a first vowel after a nasal or liquid eSpeak NG announces the
    word when it begins that consonant, of the word before: then the vowel's phoneme counts.

    Args:
        text: what was said; words are separated by white space.
        events: of words and phonemes.
        sample_rate: in Hz.
        n_samples: of the whole speech.
    """
    tokens = list(re.finditer(r"\S+", text))
    starts: dict[int, int] = {}  # token: sample
    ends: dict[int, int] = {}
    current: int | None = None
    for index, event in enumerate(events):
        if event.character is not None:
            # A number is several words to eSpeak NG; a place may point to the space before.
            token = next((i for i, t in enumerate(tokens) if t.end() > (event.character or 0)), None)
            if token is None or token in starts:
                continue
            start = _start(events, index)
            if current is not None:
                ends.setdefault(current, start)
            current, starts[token] = token, start
        elif current is not None:
            if event.is_pause:
                ends.setdefault(current, event.sample)
            else:
                ends.pop(current, None)  # a pause within the word
    if current is not None:
        ends.setdefault(current, n_samples)
    return tuple(
        SpokenWord(
            text[tokens[token].start() : tokens[after - 1].end()],
            starts[token] / sample_rate,
            ends[token] / sample_rate,
        )
        for token, after in zip(starts, [*list(starts)[1:], len(tokens)], strict=True)
    )


def _start(events: Sequence[Event], index: int) -> int:
    """The sample at which the word of ``events[index]`` begins."""
    sample = events[index].sample
    before = events[index - 1] if index else None
    if before is None or before.character is not None or before.is_pause or before.sample < sample:
        return sample
    phonemes = (event.sample for event in events[index + 1 :] if event.character is None)
    return next(phonemes, sample)
