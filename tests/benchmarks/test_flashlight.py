"""Flashlight's search with a language model; needs requirements-lm.txt."""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from benchmarks.flashlight import FlashlightWords
from benchmarks.peers import Flashlight
from deepspeech2.decoding import BeamSearchDecoder
from deepspeech2.text import TextEncoder
from deepspeech2.types import Padded

ARPA = """
\\data\\
ngram 1=7
ngram 2=2

\\1-grams:
-9\t<unk>
-99\t<s>\t-0.3
-1\t</s>
-0.5\tTHE\t-0.2
-1.5\tSEA\t-0.2
-1.5\tSEE\t-0.2
-1.5\tNAÏVE\t-0.2

\\2-grams:
-0.2\tTHE SEA
-2.0\tTHE SEE

\\end\\
"""
ENCODER = TextEncoder()

pytest.importorskip("flashlight.lib.text.decoder")
pytestmark = pytest.mark.slow  # make test-all installs it


@pytest.fixture
def arpa(tmp_path: Path) -> Path:
    path = tmp_path / "lm.arpa"
    path.write_text(ARPA, encoding="utf-8")
    return path


def spoken(*alternatives: str, doubt: float = 0.4) -> Tensor:
    """Frames of the first text, of which ``doubt`` goes to the others' letters."""
    frames = torch.full((2 * len(alternatives[0]), ENCODER.n_tokens), 1e-4)
    frames[1::2, ENCODER.blank] = 1.0
    for text in reversed(alternatives):
        for index, character in enumerate(text):
            label = ENCODER.alphabet.index(character) + 1
            frames[2 * index, label] = 1 - doubt if text == alternatives[0] else doubt
    return (frames / frames.sum(1, keepdim=True)).log()


@pytest.mark.parametrize("seed", range(4))
def test_without_a_model_it_agrees_with_our_beam_search(seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    utterances = list((4 * torch.randn(5, 30, ENCODER.n_tokens, generator=random)).log_softmax(-1))
    ours = BeamSearchDecoder(ENCODER, beam_size=200)(Padded.stack(utterances))
    assert Flashlight(ENCODER, beam_size=200)(utterances) == [best.text for [best] in ours]


def test_the_model_decides_between_words(arpa: Path) -> None:
    frames = spoken("the see", "the sea")
    peer = FlashlightWords(ENCODER, arpa)
    assert peer.weighed(0.5, 1.0, 100)([frames, frames[:0]]) == ["the sea", ""]
    assert peer.weighed(0.0, 1.0, 100)([frames]) == ["the see"]


def test_the_last_word_needs_no_space(arpa: Path) -> None:
    arpa.write_text(ARPA.replace("NAÏVE", "SEAS"), encoding="utf-8")
    decode = FlashlightWords(ENCODER, arpa).weighed(0.1, 1.0, 100)
    # A space in place of the last letter ends a word too, but a less probable one.
    found = decode([spoken("the seas", "the sea ", doubt=0.3), spoken("the seas ")])
    assert found == ["the seas"] * 2


def test_a_gzipped_model(arpa: Path) -> None:
    packed = arpa.with_suffix(".arpa.gz")
    packed.write_bytes(gzip.compress(arpa.read_bytes()))
    decode = FlashlightWords(ENCODER, packed).weighed(0.5, 1.0, 100)
    assert decode([spoken("the see", "the sea")]) == ["the sea"]


def test_impossible_frames(arpa: Path) -> None:
    frames = torch.full((3, ENCODER.n_tokens), -math.inf)
    assert len(FlashlightWords(ENCODER, arpa).weighed(0.5, 1.0, 100)([frames])) == 1
