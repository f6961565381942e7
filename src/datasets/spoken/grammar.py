"""The sentences of the built-in corpus: numbers, dates, times, commands, short statements."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

START = "sentence"


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# A rule is a list of alternatives, equally likely, in which {name} stands for another rule.
# Words that sound alike (two, to) occur where their neighbours tell them apart.
RULES: dict[str, tuple[str, ...]] = {
    "sentence": (
        "{command}",
        "{command}",
        "{command}",
        "{dated}",
        "{dated}",
        "{timed}",
        "{counted}",
        "{counted}",
        "{statement}",
        "{statement}",
    ),
    # numbers
    "digit": _words("one two three four five six seven eight nine"),
    "several": _words("two three four five six seven eight nine"),
    "teen": _words(
        "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
    ),
    "tens": _words("twenty thirty forty fifty sixty seventy eighty ninety"),
    "count": ("{several}", "{teen}", "{tens}", "{tens} {digit}"),
    "number": (
        "{count}",
        "{count}",
        "{digit} hundred",
        "{digit} hundred and {count}",
        "{several} thousand {digit} hundred",
    ),
    # dates and times
    "month": _words(
        "january february march april may june july august september october november december"
    ),
    "weekday": _words("monday tuesday wednesday thursday friday saturday sunday"),
    "unit_ordinal": _words("first second third fourth fifth sixth seventh eighth ninth"),
    "ordinal": (
        "{unit_ordinal}",
        "tenth",
        "eleventh",
        "twelfth",
        "fifteenth",
        "sixteenth",
        "twentieth",
        "twenty {unit_ordinal}",
        "thirteenth",
    ),
    "date": ("{month} {ordinal}", "the {ordinal} of {month}", "{weekday} the {ordinal}"),
    "year": ("nineteen {tens} {digit}", "twenty {teen}", "two thousand and {digit}"),
    "hour": _words("one two three four five six seven eight nine ten eleven twelve"),
    "minutes": ("five", "ten", "twenty", "twenty five", "quarter"),
    "clock": (
        "{hour} o'clock",
        "half past {hour}",
        "{minutes} past {hour}",
        "{minutes} to {hour}",
        "{hour} thirty",
        "{hour} fifteen",
        "noon",
        "midnight",
    ),
    "daytime": ("morning", "afternoon", "evening", "night"),
    "day": ("today", "tomorrow", "{weekday}", "{weekday} {daytime}", "tomorrow {daytime}"),
    # things, places, people
    "colour": _words("red blue green yellow white black"),
    "quality": _words("small large old new heavy"),
    "thing": _words("book letter bottle basket camera jacket mirror ticket"),
    "object": ("{colour} {thing}", "{quality} {thing}", "{quality} {colour} {thing}"),
    "room": _words("kitchen garden bedroom office garage"),
    "device": _words("light radio heater fan television"),
    "place": _words("station airport hospital library market river"),
    "city": _words("london paris berlin boston dublin chicago"),
    "name": _words("anna peter maria david susan thomas"),
    "relative": _words("mother father brother sister doctor teacher"),
    "person": ("{name}", "my {relative}"),
    "vehicle": _words("train bus boat taxi"),
    "food": _words("apples oranges potatoes eggs"),
    "drink": _words("coffee water milk juice"),
    "weather": _words("rain snow wind sunshine"),
    "direction": _words("left right"),
    # kinds of sentence
    "command": (
        "open the {room} window",
        "close the {room} window",
        "open the {room} door",
        "close the {room} door",
        "turn on the {room} {device}",
        "turn off the {device} in the {room}",
        "turn {direction} at the {place}",
        "set the alarm at {clock}",
        "set the {device} to {count} percent",
        "start the {device} in {count} minutes",
        "stop the {device} in {count} minutes",
        "call {person} {day} at {clock}",
        "send the {object} to {person}",
        "bring the {object} to the {room}",
        "put the {object} on the table",
        "take the {unit_ordinal} street on the {direction}",
        "find a hotel near the {place} in {city}",
        "cancel the meeting with {person} on {date}",
    ),
    "dated": (
        "the meeting is on {date}",
        "{name} was born on {date} {year}",
        "we will travel to {city} on {date}",
        "the {place} was built in {year}",
        "my birthday is on {date}",
    ),
    "timed": (
        "the {vehicle} to {city} leaves at {clock}",
        "the {vehicle} leaves at {clock} on {weekday}",
        "the {place} opens at {clock} on {weekday}",
        "it is {clock} in {city}",
        "{person} will arrive {day} at {clock}",
    ),
    "counted": (
        "the number is {number}",
        "{number} people live near the {place}",
        "the {thing} costs {number} dollars",
        "it is {number} kilometers to {city}",
        "we need {count} {food} and some {drink}",
        "page {number} is missing",
        "{person} bought {count} {food}",
        "my code is {digit} {digit} {digit} {digit}",
    ),
    "statement": (
        "there will be {weather} in {city} {day}",
        "{person} likes {food} with {drink}",
        "the {object} is on the table",
        "the {object} is missing",
        "{person} left the {object} in the {room}",
        "the {unit_ordinal} {thing} is {colour}",
        "{person} needs some {drink} and {count} {food}",
        "the {vehicle} was late because of the {weather}",
    ),
}

_REFERENCE = re.compile(r"\{(\w+)\}")


def sentences(seed: int) -> Iterator[str]:
    """Endless sentences, no two of them equal."""
    rng = random.Random(seed)
    decks: dict[str, list[str]] = {rule: [] for rule in RULES}
    said: set[str] = set()
    while True:
        sentence = _expand(START, decks, rng)
        if sentence not in said:
            said.add(sentence)
            yield sentence


def _expand(rule: str, decks: dict[str, list[str]], rng: random.Random) -> str:
    """One phrase of ``rule``, drawn without replacement, so that no alternative stays rare."""
    if not decks[rule]:
        # Of all that random offers, Python promises only for random() that it never changes.
        decks[rule] = sorted(RULES[rule], key=lambda _: rng.random())
    chosen = decks[rule].pop()
    return _REFERENCE.sub(lambda reference: _expand(reference[1], decks, rng), chosen)


def vocabulary() -> frozenset[str]:
    """Every word that a sentence can hold."""
    texts = (text for alternatives in RULES.values() for text in alternatives)
    return frozenset(word for text in texts for word in _REFERENCE.sub(" ", text).split())
