"""Bytes that are changed, lost or put in, anywhere in a file of any kind: samples or a sentence."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from deepspeech2.audio.reading import probe, read_audio
from deepspeech2.errors import AudioError
from tests.audio.recordings import KINDS, Kind, write

RATE = 16000
SIZES = (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\x80\0\0\0")


def damaged(content: bytes, draw: random.Random) -> bytes:
    """One to twenty changes, most of them in the first 600 bytes, where headers are."""
    changed = bytearray(content)
    for _ in range(draw.choice([1, 1, 3, 20])):
        near = min(len(changed), 600) if draw.random() < 0.7 else len(changed)
        place = draw.randrange(max(1, near))
        act = draw.random()
        if act < 0.6:
            changed[place : place + 1] = bytes([draw.randrange(256)])
        elif act < 0.75:
            del changed[place : place + draw.randrange(1, 2000)]
        elif act < 0.9:
            changed[place:place] = draw.randbytes(draw.randrange(1, 50))
        else:
            changed[place : place + 4] = draw.choice(SIZES)
    return bytes(changed)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_damage_ends_in_samples_or_a_sentence(tmp_path: Path, kind: Kind) -> None:
    samples = 0.1 * np.random.default_rng(0).standard_normal((RATE, 1))
    content = write(tmp_path / f"whole.{kind.ending}", kind, samples, RATE).read_bytes()
    draw = random.Random(str(kind))
    path = tmp_path / f"damaged.{kind.ending}"
    for _ in range(25):
        path.write_bytes(damaged(content, draw))
        try:
            probe(path)
            heard = read_audio(path).numpy()
        except AudioError as error:
            said = str(error)
        else:
            said = f"{path} is read"
            assert np.isfinite(heard).all()
        assert said.startswith(f"{path} ")
        assert said.isprintable()
