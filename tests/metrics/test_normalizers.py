"""Whisper's normaliser is OpenAI's, whose answers are written here; it says what it needs."""

from __future__ import annotations

import sys

import pytest

from deepspeech2.errors import ConfigError
from deepspeech2.metrics.normalizers import normalizer

WHISPER = {
    "The COLOUR of my favourite organisation": "the color of my favorite organization",
    "twenty one": "21",
    "twenty one, one hundred and five": "21105",  # as OpenAI's has it: commas go first
    "$20 million or three point five percent": "$20000000 or 3.5%",
    "two and a half thousand": "2500",
    "one oh one is double three": "101 is 33",
    "the 1st, the twenty third and the 1960s": "the 1st the 23rd and the 1960s",
    "one of the ones": "one of the ones",
    "Uh, hmm, well [noise] (aside) <unk> I can't": "well i can not",
    "He's gonna say we've let's": "he is going to say we have let us",
    "I'd y'all won't": "i would you all will not",
    "Mr. and Mrs. Smith": "mister and missus smith",
    "Caf\u00e9 na\u00efve Stra\u00dfe \u0153uvre": "cafe naive strasse oeuvre",
    "1,000,000 - 5.": "1000000 5",
}


@pytest.mark.parametrize("text", WHISPER)
def test_whispers_normalizer_is_openais(text: str) -> None:
    assert normalizer("whisper")(text) == WHISPER[text]


def test_the_package_that_it_needs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "whisper_normalizer.english", None)
    with pytest.raises(ConfigError, match="missing: pip install whisper-normalizer"):
        normalizer("whisper")
