"""The sentences of the built-in corpus: numbers, dates, times, commands, short statements."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# A rule is a list of alternatives, equally likely, in which {name} names another rule.
# Words that sound alike (two, to) occur where their neighbours tell them apart. The lists are
# short enough for the three quarters of an hour of training to contain every word a dozen times
# and most of them far more often: a rare word is not learnt from so little speech.
RULES: dict[str, tuple[str, ...]] = {
    "sentence": (
        # commands
        "{move} the {room} {opening} at {clock}",
        "{move} the {quality} {opening} in the {room}",
        "turn on the {device} in the {room}",
        "turn off the {room} {device} {day}",
        "turn {direction} at the {quality} {place}",
        "set the alarm at {clock}",
        "set the {device} to {count} percent",
        "start the {device} in {count} minutes",
        "call {person} {day} at {clock}",
        "send the {object} to {person}",
        "bring the {object} to the {room}",
        "put the {object} on the table",
        "take the {ordinal} street {direction} of the {place}",
        "cancel the meeting on {date}",
        # dates and times
        "the meeting with {person} is on {date}",
        "{name} was born in {month} {year}",
        "we will travel to {city} on {date}",
        "the {place} was built in {month} {year}",
        "the {vehicle} to {city} leaves at {clock}",
        "the {place} opens at {clock} on {weekday}",
        "it is {clock} in {city}",
        "{person} will arrive {day} at {clock}",
        # numbers
        "the number is {number}",
        "{number} people live near the {place}",
        "the {thing} costs {number} dollars",
        "we need {count} {food} and some {drink}",
        "page {number} is missing",
        "my code is {teen} {tens} {digit}",
        # statements
        "there will be {weather} in {city} {day}",
        "{person} likes {food} with {drink}",
        "the {object} is missing",
        "{person} left the {object} in the {room}",
        "the {ordinal} {thing} is {colour}",
        "the {vehicle} to {city} was late because of the {weather}",
    ),
    "digit": _words("one two three four five six seven eight nine"),
    "several": _words("two three four five six seven eight nine"),
    "teen": _words(
        "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
    ),
    "tens": _words("twenty thirty forty fifty sixty seventy eighty ninety"),
    "count": ("{teen}", "{teen}", "{tens}", "{tens} {digit}"),
    "number": (
        "{count}",
        "{teen}",
        "{digit} hundred and {teen}",
        "{digit} hundred and {tens}",
        "{several} thousand {digit} hundred",
    ),
    "month": _words(
        "january february march april may june july august september october november december"
    ),
    "weekday": _words("monday tuesday wednesday thursday friday saturday sunday"),
    "ordinal": _words("first second third fourth fifth sixth seventh eighth ninth"),
    "date": (
        "{month} {ordinal}",
        "{month} twenty {ordinal}",
        "the {ordinal} of {month}",
        "the tenth of {month}",
        "{weekday} the {ordinal} of {month}",
    ),
    "year": ("nineteen {tens} {digit}", "twenty {teen}", "two thousand and {digit}"),
    "hour": _words("one two three four five six seven eight nine ten eleven twelve"),
    "clock": (
        "{hour} o'clock",
        "half past {hour}",
        "quarter past {hour}",
        "quarter to {hour}",
        "{hour} thirty",
        "{hour} fifteen",
    ),
    "day": ("today", "tomorrow", "{weekday} morning", "{weekday} evening", "{weekday}"),
    "colour": _words("red blue green black white"),
    "quality": _words("small large old new"),
    "thing": _words("book letter camera basket ticket jacket"),
    "object": ("{colour} {thing}", "{quality} {thing}", "{quality} {colour} {thing}"),
    "room": _words("kitchen garden bedroom office"),
    "device": _words("light radio heater fan"),
    "place": _words("station airport hospital market"),
    "city": _words("london paris berlin boston chicago"),
    "name": _words("anna peter maria david"),
    "person": ("{name}", "my {relative}"),
    "relative": _words("mother father brother sister"),
    "vehicle": _words("train bus taxi"),
    "food": _words("apples oranges eggs"),
    "drink": _words("coffee water milk"),
    "weather": _words("rain snow wind"),
    "direction": _words("left right"),
    "move": _words("open close"),
    "opening": _words("window door"),
}

_REFERENCE = re.compile(r"\{(\w+)\}")


def sentences(seed: int) -> Iterator[str]:
    """Yield sentences without end, no two of them equal."""
    rng = random.Random(seed)
    decks: dict[str, list[str]] = {rule: [] for rule in RULES}
    seen: set[str] = set()
    while True:
        sentence = _expand("sentence", decks, rng)
        if sentence not in seen:
            seen.add(sentence)
            yield sentence


def _expand(rule: str, decks: dict[str, list[str]], rng: random.Random) -> str:
    """Draw a phrase of ``rule``, without replacement, so that no alternative stays rare."""
    if not decks[rule]:
        # Python guarantees only of random() that its numbers never change.
        decks[rule] = sorted(RULES[rule], key=lambda _: rng.random())
    chosen = decks[rule].pop()
    return _REFERENCE.sub(lambda reference: _expand(reference[1], decks, rng), chosen)


def vocabulary() -> frozenset[str]:
    """Return every word that a sentence can contain."""
    texts = (text for alternatives in RULES.values() for text in alternatives)
    return frozenset(word for text in texts for word in _REFERENCE.sub(" ", text).split())
