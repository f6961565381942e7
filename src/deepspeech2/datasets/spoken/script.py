"""The utterances of the built-in corpus before they are spoken: text, speaker and recording."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from deepspeech2.audio.synthesis import Voice
from deepspeech2.datasets.spoken.grammar import sentences
from deepspeech2.seeding import derive_seed

VERSION = 4
"""Raise it whenever any sample or transcript changes."""

SEED = 20
PARTS = ("train", "val", "test")
LANGUAGES = ("en", "en-us", "en-gb-x-rp", "en-gb-x-gbclan")
VARIANTS = ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "f1", "f2", "f3", "f4", "f5")

_FIRST_SPEAKER = 101
_UTTERANCES = {"train": 28, "val": 9, "test": 9}  # of each speaker
_CHAPTER = 1

_RATE = (130, 155)  # words a minute, by eSpeak NG's count; in fact a fifth more
_PITCH = (38, 62)
_PITCH_RANGE = (35, 65)
_PEAK_DB = (-16.0, -2.0)  # of the loudest sample, against full scale
_SILENCE = (0.1, 0.3)  # seconds before and after
_NOISE_DB = (-50.0, -38.0)  # root mean square, against the loudest sample


@dataclass(frozen=True, slots=True)
class Line:
    """One utterance to be spoken.

    Attributes:
        part: "train", "val" or "test".
        speaker: a number for each language and variant.
        number: of the utterance, within its speaker.
        text: lower case.
        peak_db: loudest sample, in dB of full scale.
        silence: seconds before and after the speech.
        noise_db: root mean square of the noise, in dB of the loudest sample.
    """

    part: str
    speaker: int
    number: int
    text: str
    voice: Voice
    peak_db: float
    silence: tuple[float, float]
    noise_db: float

    @property
    def chapter(self) -> str:
        """The folder, relative to the corpus."""
        return f"{self.part}/{self.speaker}/{_CHAPTER}"

    @property
    def transcript(self) -> str:
        """The file of the text, relative to the corpus."""
        return f"{self.chapter}/{self.speaker}-{_CHAPTER}.trans.txt"

    @property
    def id(self) -> str:
        return f"{self.speaker}-{_CHAPTER}-{self.number:04d}"

    @property
    def seed(self) -> int:
        """Of its noise."""
        return derive_seed(SEED, "noise", self.id)


def speakers() -> dict[str, list[tuple[int, str, str]]]:
    """Return the speakers of each part: number, language, variant.

    Training has every language and every variant, but no pair of them speaks in two parts: the
    voices of val and test are new, but similar to those of training.
    """
    cast: dict[str, list[tuple[int, str, str]]] = {part: [] for part in PARTS}
    pairs = product(enumerate(LANGUAGES), enumerate(VARIANTS))
    for number, ((row, language), (column, variant)) in enumerate(pairs, _FIRST_SPEAKER):
        # Diagonals, so that each language gives two variants to test and two to val, and of
        # no variant more than one language is taken from training for either.
        part = {0: "test", 3: "val"}.get((row + column) % 6, "train")
        cast[part].append((number, language, variant))
    return cast


def script() -> Iterator[Line]:
    """Yield all utterances: the same in every call, and no sentence twice."""
    text = sentences(SEED)
    cast = speakers()
    for part in PARTS:
        # In turns, so that all speakers share what changes along the stream of sentences.
        for number in range(_UTTERANCES[part]):
            for speaker, language, variant in cast[part]:
                yield _line(part, speaker, number, next(text), language, variant)


def _line(part: str, speaker: int, number: int, text: str, language: str, variant: str) -> Line:
    rng = random.Random(derive_seed(SEED, "line", speaker, number))

    def draw(limits: tuple[float, float]) -> float:
        return limits[0] + rng.random() * (limits[1] - limits[0])

    voice = Voice(
        language,
        variant,
        pitch=round(draw(_PITCH)),
        rate=round(draw(_RATE)),
        pitch_range=round(draw(_PITCH_RANGE)),
    )
    silence = (draw(_SILENCE), draw(_SILENCE))
    return Line(part, speaker, number, text, voice, draw(_PEAK_DB), silence, draw(_NOISE_DB))
