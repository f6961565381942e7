"""A small corpus in LibriSpeech's layout, and what its utterances are."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import soundfile

from deepspeech2.audio.reading import read_utterance
from deepspeech2.datasets import LibriSpeechCorpus
from deepspeech2.datasets.corpus import Corpus
from tests.toy import RATE, speak

TEXTS = {
    "84-121-0000": "AB BA", "84-121-0001": "CAB", "84-122-0000": "ABC CA", "91-7-0000": "BC",
    "91-7-0001": "BA BC AB",
}  # fmt: skip


class Content(NamedTuple):
    """What two readers of the same utterance agree on."""

    id: str
    text: str | None
    duration: float
    samples: bytes


def write_librispeech(root: Path) -> Path:
    """Write the part ``part`` below ``root``; returns its folder."""
    for seed, (name, text) in enumerate(TEXTS.items()):
        speaker, chapter, _ = name.split("-")
        folder = root / "part" / speaker / chapter
        folder.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / f"{name}.flac", speak(text.lower(), seed), RATE)
        with (folder / f"{speaker}-{chapter}.trans.txt").open("a") as file:
            file.write(f"{name} {text}\n")
    return root / "part"


def librispeech(root: Path) -> LibriSpeechCorpus:
    return LibriSpeechCorpus("part", root, index_dir=root / "index")


def contents(corpus: Corpus) -> list[Content]:
    return [
        Content(each.id, each.text, each.duration, read_utterance(each, RATE).numpy().tobytes())
        for each in corpus
    ]
