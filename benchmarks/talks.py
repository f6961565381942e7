"""Talks made of utterances whose places are known, and texts that agree with them in part."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deepspeech2.audio.reading import read_audio

RATE = 16000


@dataclass(frozen=True)
class Written:
    """A word of the text; ``said`` is the number of its utterance and its place in that, or None
    if it is not said; ``right`` is whether it is the word that is said there."""

    word: str
    said: tuple[int, int] | None
    right: bool = True


@dataclass(frozen=True)
class Talk:
    """A recording and its text: ``utterances`` with their first sample and the one behind."""

    samples: npt.NDArray[np.float32]
    utterances: list[tuple[Path, str, int, int]]
    written: list[Written]

    @property
    def text(self) -> str:
        return " ".join(each.word for each in self.written)


def utterances(part: Path) -> list[tuple[Path, str]]:
    """Recordings and transcripts of a folder in LibriSpeech's layout, in their order."""
    found = []
    for transcripts in sorted(part.rglob("*.trans.txt")):
        for line in transcripts.read_text("utf-8").splitlines():
            name, text = line.split(" ", 1)
            (audio,) = transcripts.parent.glob(f"{name}.[!t]*")
            found.append((audio, text.lower()))
    return found


def talk(
    said: list[tuple[Path, str]],
    foreign: list[str],
    *,
    seed: int,
    dropped: float = 0.0,
    added: float = 0.0,
    changed: float = 0.0,
    snr_db: float | None = None,
) -> Talk:
    """Join ``said`` with pauses of 0 to 2 s; write it with that share of sentences dropped and
    added, and of words changed to others of ``foreign``."""
    draw, sound = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    vocabulary = sorted({word for line in foreign for word in line.split()})
    pieces, places, written = [], [], []
    reached = 0
    for number, (path, text) in enumerate(said):
        pause = np.zeros(int(RATE * sound.uniform(0, 2)), np.float32)
        samples = read_audio(path, sample_rate=RATE).numpy()
        pieces += [pause, samples]
        start = reached + len(pause)
        reached = start + len(samples)
        places.append((path, text, start, reached))
        if draw.random() < added:
            strange = foreign[draw.integers(len(foreign))]
            written += [Written(word, None, False) for word in strange.split()]
        if draw.random() < dropped:
            continue
        for place, word in enumerate(text.split()):
            if draw.random() < changed:
                other = vocabulary[draw.integers(len(vocabulary))]
                written.append(Written(other, (number, place), other == word))
            else:
                written.append(Written(word, (number, place)))
    joined = np.concatenate(pieces)
    level = 10 ** (-(60.0 if snr_db is None else snr_db) / 20) * np.sqrt(np.square(joined).mean())
    joined = joined + level * sound.standard_normal(len(joined), np.float32)
    return Talk(np.clip(joined, -1, 1).astype(np.float32), places, written)
